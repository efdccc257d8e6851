"""An execution as it stands in the queue: what was asked for, before anything ran."""

from datetime import datetime
from enum import StrEnum

from agent.model.ids import ExecutionId, Oid, PipelineName, RefName, StageName
from agent.model.value import Value


class TriggerType(StrEnum):
    """Why an execution exists."""

    PUSH = "push"
    TAG = "tag"
    SCHEDULE = "schedule"
    MANUAL = "manual"
    EVENT = "event"  # something that happened outside, as a new object in S3
    PIPELINE = "pipeline"  # an action of another execution
    ROLLBACK = "rollback"  # asked for by a person
    AUTOMATIC_ROLLBACK = "automatic-rollback"


class Rollback(Value, frozen=True, kw_only=True):
    """An execution that runs one stage as a former execution ran it (codepipeline.md 2.6)."""

    stage: StageName
    target: ExecutionId
    target_number: int


class Execution(Value, frozen=True, kw_only=True):
    """One run of one pipeline for one commit. `number` counts per pipeline from 1 and is never used twice."""

    id: ExecutionId
    pipeline: PipelineName
    number: int
    commit: Oid
    ref: RefName
    trigger: TriggerType
    created_at: datetime
    previous: str = ""  # the commit before (old value of the ref, or what the new branch started from)
    actor: str = ""  # who pushed or asked
    variables: dict[str, str] = {}
    rollback: Rollback | None = None
    parents: tuple[str, ...] = ()  # the pipelines whose actions led to it, each with its repository, the first one first

    @property
    def label(self) -> str:
        """How people call it: release #42."""
        return f"{self.pipeline} #{self.number}"
