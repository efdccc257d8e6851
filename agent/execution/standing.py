"""Where each action of a stage stands, and which may start: the one reading of `needs`, `when`, retries and fail-fast."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from agent.execution.state import ActionState, StageState
from agent.execution.timing import retry_at
from agent.model.ids import ActionName
from agent.model.outcome import Reason, Status
from agent.model.plan import Approval, PlannedAction, PlannedStage, RetryMode, When


class Standing(StrEnum):
    """What is to be expected of an action in this attempt of its stage."""

    RUNNING = "running"
    READY = "ready"  # may start now
    LATER = "later"  # failed, and starts again by itself after its back-off
    WAITING = "waiting"  # for what it needs
    OK = "ok"  # succeeded, or failed with continue_on_error
    FAILED = "failed"
    NEVER = "never"  # will not run: what it needs did not end as its `when` asks, or the stage is halted

    __hash__ = str.__hash__


UNRESOLVED = frozenset({Standing.RUNNING, Standing.READY, Standing.LATER, Standing.WAITING})
MISSED = frozenset({Standing.FAILED, Standing.NEVER})
Board = Mapping[ActionName, Standing]


def standings(
    stage: PlannedStage, state: StageState, now: datetime, *, halted: bool = False, overdue: bool = False
) -> dict[ActionName, Standing]:
    """Where the actions stand. `halted`: no `when: success` action starts or is retried any more (fail-fast, a timeout);
    `overdue`: the stage has failed by the clock, which `when: failure` actions without needs take as a failure.

    An action with another `when` and no needs comes after all `when: success` actions of the stage. A cycle never runs.
    """
    known: dict[ActionName, Standing] = {}
    tainted: set[ActionName] = set()
    left: Sequence[PlannedAction] = stage.actions
    while left:
        later: list[PlannedAction] = []
        for action in left:
            needs = needs_of(stage, action)
            if not all(need in known for need in needs):
                later.append(action)
                continue
            bad = any(need in tainted for need in needs) or (overdue and action.when is not When.SUCCESS and not action.needs)
            known[action.name] = _stand(action, state.actions.get(action.name), _of(needs, known), bad, now, halted)
            if bad or known[action.name] is Standing.FAILED:
                tainted.add(action.name)
        if len(later) == len(left):
            return {**known, **{action.name: Standing.NEVER for action in later}}
        left = later
    return known


def _of(needs: Iterable[ActionName], known: Board) -> tuple[Standing, ...]:
    return tuple(known[need] for need in needs)


def needs_of(stage: PlannedStage, action: PlannedAction) -> tuple[ActionName, ...]:
    """What an action waits for, with the implied needs of a clean-up action."""
    if action.needs or action.when is When.SUCCESS:
        return action.needs
    after = downstream(stage, {action.name})
    return tuple(other.name for other in stage.actions if other.when is When.SUCCESS and other.name not in after)


def downstream(stage: PlannedStage, names: Collection[ActionName]) -> set[ActionName]:
    """These actions and all that need them, directly or not."""
    found = set(names)
    grows = True
    while grows:
        more = {action.name for action in stage.actions if action.name not in found and not found.isdisjoint(action.needs)}
        found |= more
        grows = bool(more)
    return found


def _stand(
    action: PlannedAction,
    state: ActionState | None,
    needs: tuple[Standing, ...],
    tainted: bool,
    now: datetime,
    halted: bool,
) -> Standing:
    stopped = halted and action.when is When.SUCCESS
    if state is not None and not state.rerun:
        return _stand_of_started(action, state, now, stopped)
    if action.when is When.SUCCESS:
        if stopped or not MISSED.isdisjoint(needs):
            return Standing.NEVER
        return Standing.READY if UNRESOLVED.isdisjoint(needs) else Standing.WAITING
    if not UNRESOLVED.isdisjoint(needs):
        return Standing.WAITING
    return Standing.NEVER if action.when is When.FAILURE and not tainted else Standing.READY


def _stand_of_started(action: PlannedAction, state: ActionState, now: datetime, stopped: bool) -> Standing:
    if state.is_running:
        return Standing.RUNNING
    if state.status is Status.SUCCEEDED:
        return Standing.OK
    again = None if stopped else retry_at(action, state)
    if again is not None:
        return Standing.READY if again <= now else Standing.LATER
    # one that was cancelled did not get its chance to fail
    cancelled = state.status is not Status.FAILED or (state.outcome and state.outcome.reason is Reason.STOPPED)
    return Standing.OK if action.continue_on_error and not cancelled else Standing.FAILED


def run_again(stage: PlannedStage, state: StageState, mode: RetryMode, *, fresh: bool) -> tuple[ActionName, ...]:
    """Which actions a retry of the stage runs again, of those that ran and do not run now.

    Mode ALL: all. Else: those that did not succeed, clean-up actions (they clean up after the retry too), and all that need
    one of these. `fresh`: approvals are asked again, as a retry must not jump the gate.
    """
    ended = [action for action in stage.actions if action.name in state.actions and not state.actions[action.name].is_running]
    if mode is RetryMode.ALL_ACTIONS:
        return tuple(action.name for action in ended)
    wrong = {a.name for a in ended if a.when is not When.SUCCESS or state.actions[a.name].status is not Status.SUCCEEDED}
    again = downstream(stage, wrong)
    return tuple(a.name for a in ended if a.name in again or (fresh and isinstance(a.work, Approval)))
