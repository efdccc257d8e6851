"""Events add up to a state. Total: a journal that was written once can always be read back.

An event that makes no sense in the state it meets (a second end of the same attempt, a result for a stage that is over) is
counted in `seq` and changes nothing else: the first fact stays the fact. The order of the journal counts, never the times in it.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import reduce
from typing import assert_never

from msgspec.structs import replace

from agent.execution.events import (
    ActionEnded,
    ActionStarting,
    ApprovalAnswered,
    ConditionOverridden,
    Event,
    ExecutionEnded,
    ExecutionStarted,
    Gate,
    RollbackStarted,
    RuleEnded,
    RuleStarting,
    StageArrived,
    StageEnded,
    StageEntered,
    StageRetried,
    StopRequested,
)
from agent.execution.state import ActionState, ExecutionState, GateState, StageState
from agent.model.ids import ActionName, StageName
from agent.model.outcome import Outcome, Status
from agent.model.plan import RetryMode

RETRYABLE = (Status.FAILED, Status.STOPPED)

StageEvent = (
    StageArrived | StageEntered | RuleStarting | RuleEnded | ConditionOverridden | ActionStarting
    | ActionEnded | ApprovalAnswered | StageRetried | RollbackStarted | StageEnded
)  # fmt: skip
HeldEvent = RuleStarting | RuleEnded | ActionStarting | ActionEnded | ApprovalAnswered | RollbackStarted


def fold(events: Iterable[Event]) -> ExecutionState:
    """The state after all events of a journal, in its order."""
    return reduce(evolve, events, ExecutionState())


def evolve(state: ExecutionState, event: Event) -> ExecutionState:
    """The state after one more event. Never raises; copies only what the event touches."""
    match event:
        case ExecutionStarted() | StopRequested() | ExecutionEnded():
            after = _execution(state, event)
        case _:
            after = _in_stage(state, event)
    return replace(after, seq=state.seq + 1)


def _execution(state: ExecutionState, event: ExecutionStarted | StopRequested | ExecutionEnded) -> ExecutionState:
    if state.status.is_final:
        return state
    match event:
        case ExecutionStarted():
            return state if state.started_at else replace(state, status=_unless_stopping(state), started_at=event.at)
        case StopRequested():
            return replace(state, status=Status.STOPPING, stop=event)
        case ExecutionEnded():
            kept = {name: _closed(stage, event.at) for name, stage in state.stages.items() if _stays(stage)}
            return replace(state, status=event.status, ended_at=event.at, message=event.message, stages=kept)
        case _:
            assert_never(event)


def _stays(stage: StageState) -> bool:
    return stage.was_entered or not stage.is_waiting


def _closed(stage: StageState, at: datetime) -> StageState:
    """A stage whose retry never began: what its attempts did, and their numbers, stay known; it can be retried again."""
    if not stage.is_waiting:
        return stage
    return replace(stage, status=Status.STOPPED, entered_at=at, ended_at=at, message="the execution ended before it was retried")


def _unless_stopping(state: ExecutionState) -> Status:
    return Status.STOPPING if state.stop else Status.IN_PROGRESS


def _in_stage(state: ExecutionState, event: StageEvent) -> ExecutionState:
    before = state.stages.get(event.stage)
    match event:
        case StageArrived():
            after = before or StageState(arrived_at=event.at)
            return state if state.status.is_final else _put(state, event.stage, after)
        case StageRetried() | ConditionOverridden():
            return _revived(state, event)
        case _ if before is None or state.status.is_final:
            return state
        case StageEntered():
            return _entered(state, before, event)
        case StageEnded():
            return _put(state, event.stage, _ended(before, event))
        case _:
            return _put(state, event.stage, _held(before, event)) if before.is_held else state


def _put(state: ExecutionState, name: StageName, stage: StageState) -> ExecutionState:
    return replace(state, stages={**state.stages, name: stage})


def _entered(state: ExecutionState, stage: StageState, event: StageEntered) -> ExecutionState:
    if not stage.is_waiting:
        return state
    since = state.running_since or event.at
    held = replace(stage, entered_at=event.at, status=Status.IN_PROGRESS)
    return _put(replace(state, running_since=since), event.stage, held)


def _ended(stage: StageState, event: StageEnded) -> StageState:
    if not (stage.is_held or stage.is_waiting):
        return stage
    return replace(stage, status=event.status, ended_at=event.at, message=event.message)


def _held(stage: StageState, event: HeldEvent) -> StageState:
    match event:
        case RuleStarting() | RuleEnded():
            gate = stage.gates.get(event.gate, GateState())
            return replace(stage, gates={**stage.gates, event.gate: _rule(gate, event)})
        case ActionStarting():
            return _with(stage, event.action, _started(stage.actions.get(event.action), event))
        case ActionEnded():
            return _with(stage, event.action, _finished(stage.actions.get(event.action), event))
        case ApprovalAnswered():
            return _with(stage, event.action, _answered(stage.actions.get(event.action), event))
        case RollbackStarted():
            return replace(stage, rollback=stage.rollback or event)
        case _:
            assert_never(event)


def _with(stage: StageState, name: ActionName, action: ActionState | None) -> StageState:
    return stage if action is None else replace(stage, actions={**stage.actions, name: action})


def _rule(gate: GateState, event: RuleStarting | RuleEnded) -> GateState:
    if event.index in gate.ended:
        return gate
    if isinstance(event, RuleEnded):
        return replace(gate, ended={**gate.ended, event.index: event})
    if event.index in gate.started:
        return gate
    deadlines = {**gate.deadlines, event.index: event.deadline}
    return replace(gate, started=gate.started | {event.index}, deadlines=deadlines)


def _started(action: ActionState | None, event: ActionStarting) -> ActionState | None:
    if action is None:
        return _attempt(event, event.deadline)
    if action.is_running or event.attempt <= action.attempt:
        return action
    used = 0 if action.rerun else action.retries_used + 1
    return replace(_attempt(event, event.deadline), former=_past(action), retries_used=used)


def _attempt(event: ActionStarting | ActionEnded, deadline: datetime) -> ActionState:
    return ActionState(status=Status.IN_PROGRESS, attempt=event.attempt, started_at=event.at, deadline=deadline)


def _past(action: ActionState) -> tuple[Outcome, ...]:
    return (*action.former, action.outcome) if action.outcome else action.former


def _finished(action: ActionState | None, event: ActionEnded) -> ActionState | None:
    if action is None or (not action.is_running and event.attempt > action.attempt):
        # an attempt that could not even be announced still ended
        announced = ActionStarting(at=event.at, stage=event.stage, action=event.action, attempt=event.attempt, deadline=event.at)
        action = _started(action, announced)
    if action is None or not action.is_running or event.attempt != action.attempt:
        return action
    return replace(action, status=event.outcome.status, ended_at=event.at, outcome=event.outcome)


def _answered(action: ActionState | None, event: ApprovalAnswered) -> ActionState | None:
    if action is None or not action.is_running:
        return action
    return replace(action, answers=(*action.answers, event))


def _revived(state: ExecutionState, event: StageRetried | ConditionOverridden) -> ExecutionState:
    before = state.stages.get(event.stage)
    if before is None or state.status is Status.STOPPING or state.status is Status.SUPERSEDED:
        return state
    after = _retried(before, event) if isinstance(event, StageRetried) else _overridden(before, event)
    if after is before:
        return state
    if state.status.is_final:
        state = replace(state, status=Status.IN_PROGRESS, ended_at=None, message="", stop=None, running_since=None)
    return _put(state, event.stage, after)


def _retried(stage: StageState, event: StageRetried) -> StageState:
    used = stage.automatic_retries + 1 if event.automatic else 0
    actions = {name: _again(name, action, event) for name, action in stage.actions.items()}
    again = replace(stage, attempt=stage.attempt + 1, actions=actions, automatic_retries=used, rollback=None)
    if stage.is_held:
        entry = {gate: kept for gate, kept in stage.gates.items() if gate is Gate.BEFORE_ENTRY}
        return replace(again, gates=entry)
    if stage.status in RETRYABLE and stage.entered_at:
        return _waiting(replace(again, gates={}), event.at)
    return stage


def _again(name: ActionName, action: ActionState, event: StageRetried) -> ActionState:
    if event.actions:
        asked = name in event.actions
    else:
        asked = event.mode is RetryMode.ALL_ACTIONS or action.status is not Status.SUCCEEDED
    return replace(action, rerun=True) if asked and not action.is_running else action


def _waiting(stage: StageState, at: datetime) -> StageState:
    return replace(stage, arrived_at=at, entered_at=None, ended_at=None, status=None, message="")


def _overridden(stage: StageState, event: ConditionOverridden) -> StageState:
    gate = event.gate or _troubled(stage)
    failed = stage.status is Status.FAILED and stage.entered_at is not None
    if gate is None or not (stage.is_held or failed):
        return stage
    marked = replace(stage.gates.get(gate, GateState()), overridden_by=event.by, overridden_at=event.at)
    stage = replace(stage, gates={**stage.gates, gate: marked})
    return _waiting(stage, event.at) if failed else stage


def _troubled(stage: StageState) -> Gate | None:
    for name, gate in stage.gates.items():
        failed = any(rule.status is not Status.SUCCEEDED for rule in gate.ended.values())
        if not gate.overridden_by and (failed or gate.pending):
            return name
    return None
