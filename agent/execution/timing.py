"""The times an execution keeps: deadlines and back-off, counted from what the journal says, so that a restart changes none."""

from datetime import datetime, timedelta

from agent.execution.events import Gate
from agent.execution.state import ActionState, ExecutionState, StageState
from agent.model.outcome import Reason, Status
from agent.model.plan import Approval, Plan, PlannedAction, PlannedStage, Retries

# what ends the same way however often it is tried, or what a person decided
FUTILE = frozenset({Reason.STOPPED, Reason.POLICY, Reason.VARIABLE, Reason.REJECTED, Reason.EXPIRED, Reason.INTERNAL})


def execution_deadline(plan: Plan, state: ExecutionState) -> datetime | None:
    """When the execution times out: counted from the first stage it entered, so waiting for its turn costs nothing."""
    return after(state.running_since, plan.timeout)


def stage_deadline(stage: PlannedStage, state: StageState) -> datetime | None:
    """When the stage times out: counted from when its actions might start, automatic retries and approvals included."""
    return after(_opened_at(state), stage.timeout)


def after(start: datetime | None, span: timedelta | None) -> datetime | None:
    """`start` and `span` later; None if either is None or the time lies beyond the calendar."""
    if start is None or span is None:
        return None
    try:
        return start + span
    except OverflowError:
        return None


def _opened_at(state: StageState) -> datetime | None:
    gate = state.gates.get(Gate.BEFORE_ENTRY)
    if gate is None or state.entered_at is None:
        return state.entered_at
    passed = [rule.at for rule in gate.ended.values()] + ([gate.overridden_at] if gate.overridden_at else [])
    return max([state.entered_at, *passed])


def retry_at(action: PlannedAction, state: ActionState) -> datetime | None:
    """When a failed action starts again by itself; None if it does not."""
    outcome = state.outcome
    if outcome is None or outcome.status is not Status.FAILED or state.ended_at is None or state.rerun:
        return None
    if isinstance(action.work, Approval) or outcome.reason in FUTILE or state.retries_used >= action.retries.count:
        return None
    return after(state.ended_at, _delay(action.retries, state.retries_used)) or state.ended_at


def _delay(retries: Retries, used: int) -> timedelta:
    try:
        return min(retries.delay * float(retries.factor) ** used, retries.max_delay)
    except OverflowError:
        return retries.max_delay
