"""Which attempts an executor may get ready for while others still run: advice, so it errs on the side of silence."""

import re
from collections.abc import Iterator
from itertools import islice

import msgspec

from agent.execution.commands import PrepareAction
from agent.execution.standing import Board, Standing, needs_of
from agent.execution.state import StageState
from agent.model.plan import Approval, PlannedAction, PlannedStage, Run

MOST = 3  # at once
_NAMESPACE = re.compile(rb"\$\{\{\s*([A-Za-z0-9_-]+)")


def prepare(stage: PlannedStage, state: StageState, board: Board) -> Iterator[PrepareAction]:
    """Scripts that wait only for running work, unpack nothing, and look nothing up in what has not ended."""
    found = (action for action in stage.actions if _is_next(stage, action, board) and _is_free(stage, action, board))
    for action in islice(found, MOST):
        past = state.actions.get(action.name)
        yield PrepareAction(stage=stage.name, action=action.name, attempt=past.attempt + 1 if past else 1)


def _is_next(stage: PlannedStage, action: PlannedAction, board: Board) -> bool:
    if board[action.name] is not Standing.WAITING or action.inputs or not isinstance(action.work, Run):
        return False
    people = {other.name for other in stage.actions if isinstance(other.work, Approval)}
    unmet = [need for need in needs_of(stage, action) if board[need] is not Standing.OK]
    return all(board[need] is Standing.RUNNING and need not in people for need in unmet)


def _is_free(stage: PlannedStage, action: PlannedAction, board: Board) -> bool:
    unknown = {a.namespace.encode() for a in stage.actions if a.namespace and board[a.name] is not Standing.OK}
    return not unknown or unknown.isdisjoint(_NAMESPACE.findall(msgspec.json.encode(action)))
