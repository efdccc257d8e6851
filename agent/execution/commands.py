"""What `decide` asks for. `Record` needs no effect; the others are carried out by the worker, which journals their events."""

from datetime import datetime

from agent.execution.events import Event, Gate
from agent.model.ids import ActionName, StageName
from agent.model.value import Value


class Record(Value, frozen=True, kw_only=True):
    """Journal this event: a decision that needs no effect."""

    event: Event


class StartAction(Value, frozen=True, kw_only=True):
    """Start an attempt as soon as a place is free; the worker journals ActionStarting with the deadline first."""

    stage: StageName
    action: ActionName
    attempt: int


class PrepareAction(Value, frozen=True, kw_only=True):
    """Advice: this attempt will probably start next and depends on nothing still to come; an executor may get ready."""

    stage: StageName
    action: ActionName
    attempt: int


class CancelAction(Value, frozen=True, kw_only=True):
    """End a running attempt for certain; its ActionEnded follows when it is gone. Repeated until then, harmlessly."""

    stage: StageName
    action: ActionName
    attempt: int
    message: str


class EvaluateRule(Value, frozen=True, kw_only=True):
    """Evaluate a rule; RuleEnded follows."""

    stage: StageName
    gate: Gate
    index: int
    deadline: datetime


class StartRollback(Value, frozen=True, kw_only=True):
    """Find the last execution that succeeded in this stage and start its rollback; RollbackStarted follows."""

    stage: StageName


Command = Record | StartAction | PrepareAction | CancelAction | EvaluateRule | StartRollback
