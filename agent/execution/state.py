"""What the events of an execution add up to. Values only; `fold.py` makes them, `decide.py` reads them."""

from datetime import datetime

from agent.execution.events import ApprovalAnswered, Gate, RollbackStarted, RuleEnded, StopRequested
from agent.model.ids import ActionName, StageName
from agent.model.outcome import Outcome, Status
from agent.model.value import Value


class ActionState(Value, frozen=True, kw_only=True):
    """An action that has been started at least once. One that is not in `StageState.actions` "didn't run"."""

    status: Status
    attempt: int
    started_at: datetime
    deadline: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    answers: tuple[ApprovalAnswered, ...] = ()
    former: tuple[Outcome, ...] = ()  # of earlier attempts, oldest first
    retries_used: int = 0  # automatic ones since the stage was last (re)tried
    rerun: bool = False  # a retry of the stage asked for it: it starts again as attempt + 1 when its turn comes

    @property
    def is_running(self) -> bool:
        return self.status is Status.IN_PROGRESS


class GateState(Value, frozen=True, kw_only=True):
    """The rules of one condition: started ones by index, ended ones by index."""

    started: frozenset[int] = frozenset()
    ended: dict[int, RuleEnded] = {}
    overridden_by: str = ""
    overridden_at: datetime | None = None
    deadlines: dict[int, datetime] = {}  # of started ones

    @property
    def pending(self) -> tuple[int, ...]:
        """Rules that are being evaluated."""
        return tuple(sorted(self.started - self.ended.keys()))


class StageState(Value, frozen=True, kw_only=True):
    """A stage that was arrived at. `status` None: the execution waits in front of it."""

    arrived_at: datetime
    entered_at: datetime | None = None
    ended_at: datetime | None = None
    status: Status | None = None
    attempt: int = 1
    message: str = ""
    actions: dict[ActionName, ActionState] = {}
    gates: dict[Gate, GateState] = {}
    automatic_retries: int = 0
    rollback: RollbackStarted | None = None

    @property
    def is_waiting(self) -> bool:
        return self.entered_at is None and self.status is None

    @property
    def was_entered(self) -> bool:
        """Whether it was in progress before; it is still, has ended, or waits to be entered again."""
        return self.entered_at is not None or bool(self.actions or self.gates)

    @property
    def has_passed(self) -> bool:
        """Whether the stages that need this one may be entered."""
        return self.status is Status.SUCCEEDED or self.status is Status.SKIPPED

    @property
    def is_held(self) -> bool:
        return self.entered_at is not None and self.status is Status.IN_PROGRESS


class ExecutionState(Value, frozen=True, kw_only=True):
    """An execution as its journal tells it. `seq` is the number of events folded."""

    status: Status = Status.QUEUED
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message: str = ""
    stages: dict[StageName, StageState] = {}
    stop: StopRequested | None = None
    seq: int = 0
    running_since: datetime | None = None  # the first stage entered since it was started or revived by a retry

    def has_passed(self, stage: StageName) -> bool:
        """Whether the stage was arrived at, and has passed."""
        at = self.stages.get(stage)
        return at is not None and at.has_passed
