"""What reaches the loop from other threads."""

from agent.errors import EnvironmentFault
from agent.execution.events import Event
from agent.model.ids import ExecutionId
from agent.model.value import Value


class Fact(Value, frozen=True, kw_only=True):
    """Something that happened outside the loop: an event of an execution."""

    execution: ExecutionId
    event: Event


class Ring(Value, frozen=True, kw_only=True):
    """Somebody wants the worker to look at the database."""


class Published(Value, frozen=True, kw_only=True):
    """The notes hold an execution's first `seq` events, or could not be written."""

    execution: ExecutionId
    seq: int
    fault: EnvironmentFault | None = None


Message = Fact | Ring | Published
