"""The facts of one execution, in the order in which they were journalled. Nothing is ever changed or removed.

`at` is the agent's time (UTC). An event that announces an effect (`ActionStarting`, `RuleStarting`) is journalled before the
effect, the fact after it; whoever finds an announcement without a fact asks the executor what became of it.
"""

from datetime import datetime
from enum import StrEnum

from agent.model.ids import ActionName, ExecutionId, StageName
from agent.model.outcome import Outcome, Status
from agent.model.plan import RetryMode
from agent.model.value import Value


class Gate(StrEnum):
    """The three places of a stage that can carry a condition."""

    BEFORE_ENTRY = "before_entry"
    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"


class ExecutionStarted(Value, frozen=True, kw_only=True, tag="execution.started"):
    """The plan is fixed (it is stored beside the journal) and the first stages may be entered."""

    at: datetime


class StageArrived(Value, frozen=True, kw_only=True, tag="stage.arrived"):
    """The execution waits in front of a stage: inbound, until the stage is free and its transition open."""

    at: datetime
    stage: StageName


class StageEntered(Value, frozen=True, kw_only=True, tag="stage.entered"):
    """The stage is taken: from here until StageEnded no other execution may be in it (but in parallel mode)."""

    at: datetime
    stage: StageName


class RuleStarting(Value, frozen=True, kw_only=True, tag="rule.starting"):
    """A rule of a condition is about to be evaluated. `index` counts the rules of the gate from 0."""

    at: datetime
    stage: StageName
    gate: Gate
    index: int
    deadline: datetime


class RuleEnded(Value, frozen=True, kw_only=True, tag="rule.ended"):
    """A rule ended: Succeeded, Failed, or Abandoned by a stop. `errored`: it could not be evaluated."""

    at: datetime
    stage: StageName
    gate: Gate
    index: int
    status: Status
    message: str = ""
    errored: bool = False


class ConditionOverridden(Value, frozen=True, kw_only=True, tag="condition.overridden"):
    """A person let the stage pass a failed or pending condition. A stage that had failed by it waits in front of itself again."""

    at: datetime
    stage: StageName
    by: str
    reason: str = ""
    tag: str = ""
    gate: Gate | None = None  # None: the one condition of the stage that has failed or is pending


class ActionStarting(Value, frozen=True, kw_only=True, tag="action.starting"):
    """Intent: this attempt is about to start. For an approval: people are asked from now on."""

    at: datetime
    stage: StageName
    action: ActionName
    attempt: int
    deadline: datetime


class ActionEnded(Value, frozen=True, kw_only=True, tag="action.ended"):
    """Fact: this attempt ended."""

    at: datetime
    stage: StageName
    action: ActionName
    attempt: int
    outcome: Outcome


class ApprovalAnswered(Value, frozen=True, kw_only=True, tag="approval.answered"):
    """A person agreed or rejected. `complete` says that with this answer the quorum is reached."""

    at: datetime
    stage: StageName
    action: ActionName
    person: str
    approved: bool
    complete: bool
    comment: str = ""
    tag: str = ""  # object id of the signed tag
    fingerprint: str = ""


class StopRequested(Value, frozen=True, kw_only=True, tag="stop.requested"):
    """A person stopped the execution: running actions finish, or end at once with `abandon` (codepipeline.md 2.11)."""

    at: datetime
    by: str
    abandon: bool = False
    reason: str = ""
    tag: str = ""


class StageRetried(Value, frozen=True, kw_only=True, tag="stage.retried"):
    """A failed or stopped stage is to run again in the same execution; `automatic` if on_failure asked for it.

    `actions` are those that run again, fixed when it was asked (`standing.run_again`); those that never ran need no mention.
    Empty in an event made without a plan: all with mode ALL, else those that did not succeed.
    """

    at: datetime
    stage: StageName
    mode: RetryMode
    by: str = ""
    automatic: bool = False
    reason: str = ""
    tag: str = ""
    actions: tuple[ActionName, ...] = ()


class RollbackStarted(Value, frozen=True, kw_only=True, tag="rollback.started"):
    """A failed stage was rolled back by itself: `execution` is the new one that does it; empty if no former success exists."""

    at: datetime
    stage: StageName
    execution: ExecutionId | str
    number: int = 0


class StageEnded(Value, frozen=True, kw_only=True, tag="stage.ended"):
    """The stage is free again."""

    at: datetime
    stage: StageName
    status: Status
    message: str = ""


class ExecutionEnded(Value, frozen=True, kw_only=True, tag="execution.ended"):
    """The execution has its final status. Only StageRetried may follow."""

    at: datetime
    status: Status
    message: str = ""


Event = (
    ExecutionStarted | StageArrived | StageEntered | RuleStarting | RuleEnded | ConditionOverridden | ActionStarting
    | ActionEnded | ApprovalAnswered | StopRequested | StageRetried | RollbackStarted | StageEnded | ExecutionEnded
)  # fmt: skip
