"""Which attempts an executor may get ready for while others still run: advice, so it errs on the side of silence."""

import re
from collections.abc import Collection, Iterator
from itertools import islice

import msgspec

from agent.execution.commands import PrepareAction
from agent.execution.standing import Board, Standing, needs_of
from agent.execution.state import ExecutionState, StageState
from agent.model.outcome import Status
from agent.model.plan import Approval, Plan, PlannedAction, PlannedStage, Run, When

MOST = 3  # at once
_NAMESPACE = re.compile(rb"\$\{\{\s*([A-Za-z0-9_-]+)")


def prepare(stage: PlannedStage, state: StageState, board: Board) -> Iterator[PrepareAction]:
    """Scripts that wait only for running work, unpack nothing, and look nothing up in what has not ended."""
    found = (action for action in stage.actions if _is_next(stage, action, board) and _is_free(stage, action, board))
    for action in islice(found, MOST):
        past = state.actions.get(action.name)
        yield PrepareAction(stage=stage.name, action=action.name, attempt=past.attempt + 1 if past else 1)


def prepare_next(plan: Plan, state: ExecutionState) -> Iterator[PrepareAction]:
    """Scripts that start with a stage, while all that is left of the stages before it runs.

    Only where nothing but these can keep it from being entered, and nothing of value is given away before: no secrets, no cache
    that may still change, no services.
    """
    yield from islice(_first(plan, state), MOST)


def _first(plan: Plan, state: ExecutionState) -> Iterator[PrepareAction]:
    ending = {stage.name for stage in plan.stages if _is_ending(stage, state.stages.get(stage.name))}
    if not ending:
        return
    left = {stage.name: stage for stage in plan.stages if not state.has_passed(stage.name)}
    unknown = {action.namespace for stage in left.values() for action in stage.actions}
    for stage in left.values():
        needs = {need for need in stage.needs if need in left}
        if needs and needs <= ending and stage.name not in state.stages and not stage.before_entry:
            for action in stage.actions:
                if _is_plain(action) and not _looks_up(action, unknown):
                    yield PrepareAction(stage=stage.name, action=action.name, attempt=1)


def _is_ending(stage: PlannedStage, at: StageState | None) -> bool:
    """Whether the stage is over as soon as what runs has succeeded, and waits for no person."""
    if at is None or not at.is_held or stage.on_success:
        return False
    for action in stage.actions:
        found = at.actions.get(action.name)
        if not found or found.rerun or (found.status is not Status.SUCCEEDED and not found.is_running):
            return False
        if found.is_running and isinstance(action.work, Approval):
            return False
    return True


def _is_plain(action: PlannedAction) -> bool:
    starts = not action.needs and action.when is When.SUCCESS
    asks = action.inputs or action.secrets or action.cache
    return starts and not asks and isinstance(action.work, Run) and not action.work.services


def _is_next(stage: PlannedStage, action: PlannedAction, board: Board) -> bool:
    if board[action.name] is not Standing.WAITING or action.inputs or not isinstance(action.work, Run):
        return False
    people = {other.name for other in stage.actions if isinstance(other.work, Approval)}
    unmet = [need for need in needs_of(stage, action) if board[need] is not Standing.OK]
    return all(board[need] is Standing.RUNNING and need not in people for need in unmet)


def _is_free(stage: PlannedStage, action: PlannedAction, board: Board) -> bool:
    return not _looks_up(action, {a.namespace for a in stage.actions if board[a.name] is not Standing.OK})


def _looks_up(action: PlannedAction, namespaces: Collection[str]) -> bool:
    """Whether it needs a value of one of these, of which an empty one has none."""
    named = {namespace.encode() for namespace in namespaces if namespace}
    return bool(named) and not named.isdisjoint(_NAMESPACE.findall(msgspec.json.encode(action)))
