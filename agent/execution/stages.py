"""What a stage that is held wants next, from its entry to its end (codepipeline.md 2.2-2.5).

before_entry -> actions -> on_success -> Succeeded; on a failure: automatic retry -> on_failure condition -> rollback -> Failed.
The stage is held all the way, so nobody comes in between a failure and its automatic retry.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from agent.execution import asking, gates
from agent.execution.commands import CancelAction, Command, Record, StartAction, StartRollback
from agent.execution.events import Gate, StageEnded, StageRetried
from agent.execution.gates import OPEN, Judgement
from agent.execution.prepare import prepare
from agent.execution.standing import UNRESOLVED, Board, Standing, run_again, standings
from agent.execution.state import ActionState, StageState
from agent.execution.timing import stage_deadline
from agent.model.outcome import Reason, Status
from agent.model.plan import Approval, Condition, ConditionResult, Mode, Plan, PlannedAction, PlannedStage, RetryMode, When


class Scene(NamedTuple):
    """A held stage at a moment. `late`: why its time is over, in words; empty while it is not."""

    plan: Plan
    stage: PlannedStage
    state: StageState
    now: datetime
    late: str


def advance(plan: Plan, stage: PlannedStage, state: StageState, now: datetime, late: str = "") -> Iterator[Command]:
    """The commands of one held stage; `late` if the whole execution timed out."""
    opening = gates.judge(stage.before_entry, state, Gate.BEFORE_ENTRY)
    if not late and opening in OPEN:
        deadline = stage_deadline(stage, state)
        late = f"stage {stage.name} timed out after {stage.timeout}" if deadline and deadline <= now else ""
    scene = Scene(plan, stage, state, now, late)
    if opening in OPEN:
        yield from _actions(scene)
    elif opening is Judgement.PENDING and not late:
        yield from gates.evaluate(stage.name, Gate.BEFORE_ENTRY, stage.before_entry, state, now)
    else:
        yield from _refused(scene, opening)


def stop(stage: PlannedStage, state: StageState, now: datetime, abandon: bool, message: str) -> Iterator[Command]:
    """The commands of one held stage of a stopped execution: nothing starts, approvals and rules are withdrawn."""
    yield from gates.abandon(stage.name, state, now, message)
    running = {name: action for name, action in state.actions.items() if action.is_running}
    planned = {action.name: action for action in stage.actions}
    for name, action in running.items():
        if name in planned and isinstance(planned[name].work, Approval):
            yield _ended(stage, planned[name], action, now, message)
        elif abandon:
            yield CancelAction(stage=stage.name, action=name, attempt=action.attempt, message=message)
    if not running:
        yield Record(event=StageEnded(at=now, stage=stage.name, status=Status.STOPPED, message=message))


def _ended(stage: PlannedStage, action: PlannedAction, state: ActionState, now: datetime, message: str) -> Record:
    outcome = asking.answered(state, now) or asking.withdraw(message, now)
    return Record(event=asking.ended(stage.name, action.name, state, outcome, now))


def _refused(scene: Scene, opening: Judgement) -> Iterator[Command]:
    """The condition before entry failed, or never came to an end in time."""
    condition = scene.stage.before_entry
    message = gates.explain(condition, scene.state, Gate.BEFORE_ENTRY) if opening is not Judgement.PENDING else scene.late
    skips = condition is not None and condition.result is ConditionResult.SKIP and opening is Judgement.FAILED
    yield from gates.abandon(scene.stage.name, scene.state, scene.now, message)
    yield _end(scene, Status.SKIPPED if skips else Status.FAILED, message)


def _actions(scene: Scene) -> Iterator[Command]:
    before = scene.state.gates.get(Gate.BEFORE_ENTRY)
    if before and before.pending:  # overridden while they were being evaluated
        yield from gates.abandon(scene.stage.name, scene.state, scene.now, "the condition was overridden")
        return
    board = standings(scene.stage, scene.state, scene.now)
    halt = _halt(scene, board)
    if halt:
        board = standings(scene.stage, scene.state, scene.now, halted=True, overdue=bool(scene.late))
    if not UNRESOLVED.isdisjoint(board.values()):
        yield from _go_on(scene, board, halt)
    elif Standing.FAILED in board.values() or (halt and scene.late):
        yield from _failure(scene, board, halt)
    else:
        yield from _success(scene)


def _halt(scene: Scene, board: Board) -> str:
    """Why no ordinary action may start or go on; empty if there is no reason, or none left that could."""
    if not any(board[action.name] in UNRESOLVED for action in scene.stage.actions if action.when is When.SUCCESS):
        return ""
    failed = [name for name, standing in board.items() if standing is Standing.FAILED]
    return scene.late or (f"{failed[0]} failed, and the stage fails fast" if failed and scene.stage.fail_fast else "")


def _go_on(scene: Scene, board: Board, halt: str) -> Iterator[Command]:
    for action in scene.stage.actions:
        state = scene.state.actions.get(action.name)
        if board[action.name] is Standing.READY:
            yield _start(scene, action, state.attempt + 1 if state else 1)
        elif board[action.name] is Standing.RUNNING and state:
            yield from _running(scene, action, state, halt if action.when is When.SUCCESS else "")
    if not halt:
        yield from prepare(scene.stage, scene.state, board)


def _start(scene: Scene, action: PlannedAction, attempt: int) -> Command:
    if isinstance(action.work, Approval):
        return Record(event=asking.ask(scene.stage.name, action, attempt, scene.now))
    return StartAction(stage=scene.stage.name, action=action.name, attempt=attempt)


def _running(scene: Scene, action: PlannedAction, state: ActionState, halt: str) -> Iterator[Command]:
    if not isinstance(action.work, Approval):
        if halt:
            yield CancelAction(stage=scene.stage.name, action=action.name, attempt=state.attempt, message=halt)
    elif halt or asking.answered(state, scene.now):
        yield _ended(scene.stage, action, state, scene.now, halt)


def _success(scene: Scene) -> Iterator[Command]:
    condition = scene.stage.on_success
    verdict = gates.judge(condition, scene.state, Gate.ON_SUCCESS)
    if verdict is Judgement.PENDING and not scene.late:
        yield from gates.evaluate(scene.stage.name, Gate.ON_SUCCESS, condition, scene.state, scene.now)
        return
    if verdict in OPEN:
        yield from gates.abandon(scene.stage.name, scene.state, scene.now, "the condition was overridden")
        yield _end(scene, Status.SUCCEEDED, "")
        return
    message = scene.late if verdict is Judgement.PENDING else gates.explain(condition, scene.state, Gate.ON_SUCCESS)
    yield from gates.abandon(scene.stage.name, scene.state, scene.now, message)
    if condition and condition.result is ConditionResult.ROLLBACK and _wants_rollback(scene):
        yield StartRollback(stage=scene.stage.name)
    else:
        yield _end(scene, Status.FAILED, message)


def _failure(scene: Scene, board: Board, halt: str) -> Iterator[Command]:
    """All is over and something failed: retry, else roll back where that is asked for, else the end."""
    policy = scene.stage.on_failure
    engaged = gates.judge(policy.condition, scene.state, Gate.ON_FAILURE)
    automatic = policy.retry or (1 if _result(policy.condition) is ConditionResult.RETRY else 0)
    conditional = _result(policy.condition) is ConditionResult.RETRY
    may_retry = scene.state.automatic_retries < automatic and not scene.late and not _rejected(scene)
    wants_rollback = _wants_rollback(scene) and (policy.rollback or _result(policy.condition) is ConditionResult.ROLLBACK)
    if may_retry and (not conditional or engaged is Judgement.SUCCEEDED):
        # begun while the time was over, and then the clock was set back
        yield from gates.abandon(scene.stage.name, scene.state, scene.now, "the stage is retried")
        yield _retry(scene)
    elif engaged is Judgement.PENDING and (wants_rollback or (may_retry and conditional)):
        yield from gates.evaluate(scene.stage.name, Gate.ON_FAILURE, policy.condition, scene.state, scene.now)
    elif wants_rollback and engaged is Judgement.SUCCEEDED:
        yield StartRollback(stage=scene.stage.name)
    else:
        message = halt if scene.late and halt else _failures(scene, board)
        yield from gates.abandon(scene.stage.name, scene.state, scene.now, message)
        yield _end(scene, Status.FAILED, message)


def _result(condition: Condition | None) -> ConditionResult | None:
    return condition.result if condition else None


def _wants_rollback(scene: Scene) -> bool:
    """Not a second time, never of a rollback, and not where executions run side by side (codepipeline.md 2.6)."""
    return scene.state.rollback is None and not scene.plan.rollback and scene.plan.mode is not Mode.PARALLEL


def _rejected(scene: Scene) -> bool:
    """A person said no; only a person may ask again."""
    ends = (action.outcome for action in scene.state.actions.values() if action.outcome and not action.rerun)
    return any(outcome.reason is Reason.REJECTED for outcome in ends)


def _retry(scene: Scene) -> Record:
    mode: RetryMode = scene.stage.on_failure.retry_mode
    # an approval holds for the retries that the approved plan itself announces; a person's retry asks again (security.md 1.21)
    again = run_again(scene.stage, scene.state, mode, fresh=False)
    count = f"automatic retry {scene.state.automatic_retries + 1}"
    retried = StageRetried(at=scene.now, stage=scene.stage.name, mode=mode, automatic=True, reason=count, actions=again)
    return Record(event=retried)


def _failures(scene: Scene, board: Board) -> str:
    failed = [name for name, standing in board.items() if standing is Standing.FAILED]
    outcomes = [(name, scene.state.actions[name].outcome) for name in failed]
    said = [f"{name}: {outcome.message or outcome.reason or outcome.status}" for name, outcome in outcomes if outcome]
    more = [f"and {len(said) - 3} more"] if len(said) > 3 else []
    return "; ".join(said[:3] + more)


def _end(scene: Scene, status: Status, message: str) -> Record:
    return Record(event=StageEnded(at=scene.now, stage=scene.stage.name, status=status, message=message))
