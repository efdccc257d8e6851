"""What an execution needs next. Pure and total: the same plan, state and time always give the same commands.

A command is repeated until the event that answers it is in the state, so a worker that was killed in between asks again. Whoever
carries them out journals the events of `Record`s, folds, and asks again until no `Record` is left; then nothing will be said
before another event or `wake_at`. Entering a stage is not decided here but between executions (`modes.py`).
"""

from collections.abc import Iterator
from datetime import datetime

from agent.execution import stages
from agent.execution.commands import Command, Record
from agent.execution.events import ExecutionEnded, StageArrived
from agent.execution.prepare import prepare_next
from agent.execution.state import ExecutionState, StageState
from agent.execution.timing import execution_deadline, retry_at, stage_deadline
from agent.model.ids import StageName
from agent.model.outcome import Status
from agent.model.plan import Approval, Plan, PlannedStage


def decide(plan: Plan, state: ExecutionState, now: datetime) -> tuple[Command, ...]:
    """All that is to be done now; empty while the execution only waits, has not been started, or is over."""
    if state.status.is_final:
        return ()
    if state.stop:
        return tuple(_stop(plan, state, now))
    if state.started_at is None:
        return ()
    deadline = execution_deadline(plan, state)
    late = f"the execution timed out after {plan.timeout}" if deadline and deadline <= now else ""
    return tuple(_go_on(plan, state, now, late))


def wake_at(plan: Plan, state: ExecutionState, now: datetime) -> datetime | None:
    """The next time after `now` at which `decide` may say something new by itself; None if only an event can change it.

    Rules that wait (`conditions.Verdict.retry_at`) are the worker's to remember: EvaluateRule is repeated all the time.
    """
    if state.status.is_final or state.stop or state.started_at is None:
        return None
    times = [execution_deadline(plan, state)]
    for stage in plan.stages:
        held = state.stages.get(stage.name)
        if held and held.is_held:
            times.extend(_times(stage, held))
    return min((time for time in times if time and time > now), default=None)


def _times(stage: PlannedStage, state: StageState) -> Iterator[datetime | None]:
    yield stage_deadline(stage, state)
    for gate in state.gates.values():
        yield from (gate.deadlines.get(index) for index in gate.pending)
    for action in stage.actions:
        started = state.actions.get(action.name)
        if started and started.is_running and isinstance(action.work, Approval):
            yield started.deadline
        elif started and not started.is_running:
            yield retry_at(action, started)


def _go_on(plan: Plan, state: ExecutionState, now: datetime, late: str) -> Iterator[Command]:
    waits = False
    for stage in plan.stages:
        at = state.stages.get(stage.name)
        if at is None:
            if not late and _is_next(stage, state):
                waits = True
                yield Record(event=StageArrived(at=now, stage=stage.name))
        elif at.is_held:
            waits = True
            yield from stages.advance(plan, stage, at, now, late)
        else:
            waits = waits or (at.is_waiting and not late)
    if not waits:
        yield _end(plan, state, now, late)
    elif not late:
        yield from prepare_next(plan, state)


def _is_next(stage: PlannedStage, state: ExecutionState) -> bool:
    return all(map(state.has_passed, stage.needs))


def _end(plan: Plan, state: ExecutionState, now: datetime, late: str) -> Command:
    ends: dict[StageName, StageState | None] = {stage.name: state.stages.get(stage.name) for stage in plan.stages}
    if all(end and end.has_passed for end in ends.values()):
        return Record(event=ExecutionEnded(at=now, status=Status.SUCCEEDED))
    failed = [f"{name}: {end.message}" for name, end in ends.items() if end and end.status is Status.FAILED]
    if failed or late:
        return Record(event=ExecutionEnded(at=now, status=Status.FAILED, message=failed[0] if failed else late))
    stopped = any(end and end.status is Status.STOPPED for end in ends.values())
    status = Status.STOPPED if stopped else Status.FAILED
    return Record(event=ExecutionEnded(at=now, status=status, message="" if stopped else "a stage could not be reached"))


def _stop(plan: Plan, state: ExecutionState, now: datetime) -> Iterator[Command]:
    request = state.stop
    if request is None:
        return
    said = f"stopped by {request.by}" + (f": {request.reason}" if request.reason else "")
    held = [(stage, state.stages[stage.name]) for stage in plan.stages if _is_held(stage, state)]
    for stage, at in held:
        yield from stages.stop(stage, at, now, request.abandon, said)
    if not held:
        yield Record(event=ExecutionEnded(at=now, status=Status.STOPPED, message=said))


def _is_held(stage: PlannedStage, state: ExecutionState) -> bool:
    return stage.name in state.stages and state.stages[stage.name].is_held
