"""What people ask of an execution, judged: the event to journal, or RefusedError with the reason and the next step.

Values in, values out: that the person is who they say, and may steer at all, was checked before (`trust`). The preconditions
are CodePipeline's. A plan is fixed when an execution starts, so its "the structure must be unchanged" always holds.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from agent.errors import RefusedError
from agent.execution import approvals
from agent.execution.approvals import Roles
from agent.execution.events import ApprovalAnswered, ConditionOverridden, Gate, StageRetried, StopRequested
from agent.execution.fold import RETRYABLE
from agent.execution.gates import Judgement, judge
from agent.execution.standing import run_again
from agent.execution.state import ActionState, ExecutionState, StageState
from agent.model.execution import Execution, Rollback
from agent.model.ids import ActionName, StageName
from agent.model.outcome import Status
from agent.model.plan import Approval, Mode, Plan, PlannedStage, RetryMode
from agent.model.value import Value


class Asked(Value, frozen=True, kw_only=True):
    """Who asks for something, when, why, and where it is written (object id of the tag, fingerprint of the key)."""

    at: datetime
    by: str
    reason: str = ""
    tag: str = ""
    fingerprint: str = ""


def stop(state: ExecutionState, asked: Asked, *, abandon: bool = False) -> StopRequested:
    """Stop an execution. A stop that waits can be made one that abandons, any other repetition is refused."""
    if state.status.is_final:
        raise RefusedError(f"it is over already: {state.status}", hint="nothing is left to stop")
    if state.stop and (state.stop.abandon or not abandon):
        hint = "" if state.stop.abandon else "end what still runs with Abandon: true"
        raise RefusedError(f"{state.stop.by} has stopped it already", hint=hint)
    return StopRequested(at=asked.at, by=asked.by, abandon=abandon, reason=asked.reason, tag=asked.tag)


def retry(plan: Plan, state: ExecutionState, stage: StageName, mode: RetryMode, asked: Asked, *, newer: str = "") -> StageRetried:
    """Run a failed or stopped stage again; its approvals are asked again.

    `newer`: the label of a newer execution that has entered this stage or waits for it (empty: none, or the mode is parallel).
    """
    planned, at = _reached(plan, state, stage)
    _refuse_unless_latest(state, stage, newer)
    if at.is_held:
        _refuse_held(at, mode)
    elif at.is_waiting:
        raise RefusedError(f"stage {stage} waits for its turn already", hint="it starts by itself when the stage is free")
    elif at.status not in RETRYABLE:
        raise RefusedError(f"stage {stage} is {at.status}; only a failed or stopped stage can be retried")
    elif at.entered_at is None:
        raise RefusedError(f"stage {stage} was never entered", hint="start a new execution of this commit")
    again = run_again(planned, at, mode, fresh=True)
    return StageRetried(at=asked.at, stage=stage, mode=mode, by=asked.by, reason=asked.reason, tag=asked.tag, actions=again)


def _refuse_held(at: StageState, mode: RetryMode) -> None:
    running = [name for name, action in at.actions.items() if action.is_running]
    failed = any(not action.is_running and action.status is not Status.SUCCEEDED for action in at.actions.values())
    if mode is RetryMode.ALL_ACTIONS or not running or not failed:
        still = f"{', '.join(running)} still run" if running else "it has not ended"
        hint = "retry when it has ended, or only the failed actions" if failed else "wait for its end"
        raise RefusedError(f"the stage is in progress: {still}", hint=hint)


def _refuse_unless_latest(state: ExecutionState, stage: StageName, newer: str) -> None:
    if state.status is Status.SUPERSEDED:
        raise RefusedError("the execution was superseded", hint="start a new execution of this commit")
    if state.status is Status.STOPPING:
        raise RefusedError("the execution is being stopped", hint="retry when it is stopped")
    if newer:
        raise RefusedError(
            f"{newer} has come to stage {stage} since; only the latest execution of a stage can go on",
            hint="start a new execution of this commit, or roll the stage back",
        )


def _planned(plan: Plan, stage: StageName) -> PlannedStage:
    found = next((planned for planned in plan.stages if planned.name == stage), None)
    if found is None:
        names = ", ".join(planned.name for planned in plan.stages)
        raise RefusedError(f"pipeline {plan.pipeline} has no stage {stage}", hint=f"its stages: {names}")
    return found


def _reached(plan: Plan, state: ExecutionState, stage: StageName) -> tuple[PlannedStage, StageState]:
    planned = _planned(plan, stage)
    at = state.stages.get(stage)
    if at is None:
        raise RefusedError(f"the execution has not reached stage {stage}")
    return planned, at


def rollback(
    target: Execution, stage: StageName, status: Status | None, *, mode: Mode = Mode.SUPERSEDED, holder: str = ""
) -> Rollback:
    """What a new execution is to do to run `stage` as `target` ran it.

    `status`: how the stage ended in the target (None: it has no such stage, or never reached it); `mode`: of the pipeline;
    `holder`: the label of the execution that is in the stage now, empty for none.
    """
    if mode is Mode.PARALLEL:
        raise RefusedError("a pipeline in parallel mode has no rollback", hint="start a new execution of the older commit")
    if target.rollback is not None:
        hint = f"roll back to {target.pipeline} #{target.rollback.target_number}, which it ran again"
        raise RefusedError(f"{target.label} is itself a rollback", hint=hint)
    if status is not Status.SUCCEEDED:
        how = f"it is {status} there" if status else "it never got there"
        raise RefusedError(f"{target.label} did not succeed in stage {stage}: {how}", hint="choose one that did")
    if holder:
        raise RefusedError(f"{holder} is in stage {stage}", hint="wait for its end, or stop it first")
    return Rollback(stage=stage, target=target.id, target_number=target.number)


def rollback_plan(plan: Plan, stage: StageName) -> Plan:
    """The target's plan cut down to the one stage that a rollback runs; such a plan is never rolled back by itself."""
    only = _planned(plan, stage)
    return Plan(
        pipeline=plan.pipeline, mode=plan.mode, variables=plan.variables, timeout=plan.timeout, definition=plan.definition,
        schema=plan.schema, rollback=True, stages=(_alone(only),),
    )  # fmt: skip


def _alone(stage: PlannedStage) -> PlannedStage:
    return replace(stage, needs=(), ancestry=False)


def override(plan: Plan, state: ExecutionState, stage: StageName, asked: Asked, *, newer: str = "") -> ConditionOverridden:
    """Let a stage pass a condition that failed, or that is still being evaluated. `newer` as for `retry`."""
    planned, at = _reached(plan, state, stage)
    if at.status is Status.SKIPPED:
        raise RefusedError(f"stage {stage} was skipped by its condition; a skip cannot be overridden")
    gate = _gate_to_override(planned, at)
    if gate is None:
        raise RefusedError(f"no condition of stage {stage} has failed or is being evaluated")
    if at.rollback is not None:
        raise RefusedError(f"stage {stage} is rolled back already", hint="start a new execution of this commit")
    _refuse_unless_latest(state, stage, newer)
    return ConditionOverridden(at=asked.at, stage=stage, by=asked.by, reason=asked.reason, tag=asked.tag, gate=gate)


def _gate_to_override(stage: PlannedStage, at: StageState) -> Gate | None:
    wrong = (Judgement.FAILED, Judgement.ERRORED)
    conditions = {Gate.BEFORE_ENTRY: stage.before_entry, Gate.ON_SUCCESS: stage.on_success}
    judged = {gate: judge(condition, at, gate) for gate, condition in conditions.items() if condition}
    for gate, judgement in judged.items():
        if at.status is Status.FAILED and judgement in wrong:
            return gate
        if at.is_held and gate in at.gates and judgement in (*wrong, Judgement.PENDING):
            return gate
    asked = at.gates.get(Gate.ON_FAILURE)
    return Gate.ON_FAILURE if at.is_held and asked and not asked.overridden_by else None


class Voter(Value, frozen=True, kw_only=True):
    """The person who answers, and whether they are an author of what is to be approved."""

    name: str
    is_author: bool = False


def answer(
    plan: Plan,
    state: ExecutionState,
    stage: StageName,
    action: ActionName | str,
    voter: Voter,
    asked: Asked,
    roles: Roles,
    *,
    approved: bool,
) -> ApprovalAnswered:
    """An answer to an approval. `action` may be empty where only one is asked for. One rejection decides; consent needs a quorum.

    `roles` are those of all people now: who has lost a role counts no more. A person may go from consent to rejection, not back.
    """
    planned, at = _reached(plan, state, stage)
    name, work, waiting = _asked_for(planned, at, action)
    given = {past.person for past in waiting.answers}
    if asked.at >= waiting.deadline:
        raise RefusedError(
            f"the time to decide ended at {waiting.deadline.isoformat()}", hint="retry the stage to be asked again"
        )
    if not approvals.may(work.groups, voter.name, roles):
        need = approvals.missing(work.groups, given, roles)
        raise RefusedError(f"{voter.name} has no say in {stage}/{name}", hint=need)
    if approved and work.not_author and voter.is_author:
        raise RefusedError(f"{voter.name} is an author of this commit, and {stage}/{name} needs somebody else")
    if approved and voter.name in given:
        need = approvals.missing(work.groups, given, roles)
        raise RefusedError(f"{voter.name} has approved already", hint=need)
    complete = not approved or approvals.is_complete(work.groups, {*given, voter.name}, roles)
    return ApprovalAnswered(
        at=asked.at, stage=stage, action=name, person=voter.name, approved=approved, complete=complete,
        comment=asked.reason, tag=asked.tag, fingerprint=asked.fingerprint,
    )  # fmt: skip


def _asked_for(stage: PlannedStage, at: StageState, action: str) -> tuple[ActionName, Approval, ActionState]:
    works = {planned.name: planned.work for planned in stage.actions if isinstance(planned.work, Approval)}
    if action and action not in works:
        raise RefusedError(f"stage {stage.name} has no approval {action}", hint=_listed(works))
    named = {name: work for name, work in works.items() if not action or name == action}
    waiting = {name: work for name, work in named.items() if at.is_held and _is_open(at.actions.get(name))}
    if len(waiting) > 1:
        raise RefusedError(f"stage {stage.name} asks for several approvals", hint=f"add Action: NAME; {_listed(waiting)}")
    for name, work in waiting.items():
        return name, work, at.actions[name]
    raise _not_open(stage, at, named)


def _not_open(stage: PlannedStage, at: StageState, named: Iterable[ActionName]) -> RefusedError:
    for name in named:
        action = at.actions.get(name)
        if action and action.outcome and not action.rerun:
            return RefusedError(f"{stage.name}/{name} was decided already: {action.outcome.message or action.status}")
        if action and action.is_running and not _is_open(action):
            return RefusedError(f"{stage.name}/{name} was decided already by {action.answers[-1].person}")
    return RefusedError(f"stage {stage.name} asks for no approval now", hint="it may be too early, or over")


def _is_open(action: ActionState | None) -> bool:
    return bool(action and action.is_running and not any(past.complete or not past.approved for past in action.answers))


def _listed(names: Iterable[str]) -> str:
    return f"asked for: {', '.join(names) or 'none'}"
