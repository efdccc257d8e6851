"""An execution as its record tells it: what was planned, together with how far it has come."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from agent.execution.events import Gate
from agent.execution.state import ActionState, ExecutionState, GateState, StageState
from agent.model.execution import Execution
from agent.model.ids import StageName, attempt_id
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import Approval, Condition, Deploy, Plan, PlannedAction, PlannedStage, Run, Work
from agent.results.record import (
    SCHEMA,
    ActionRecord,
    AnswerRecord,
    ApprovalRecord,
    AttemptRecord,
    Audit,
    ConditionRecord,
    LogRecord,
    Record,
    RuleRecord,
    StageRecord,
)

Logs = Mapping[str, LogRecord]  # by attempt id


def make(
    execution: Execution,
    plan: Plan,
    state: ExecutionState,
    now: datetime,
    *,
    logs: Logs | None = None,
    timings: Mapping[str, float] | None = None,
    audit: Audit | None = None,
    kept: Mapping[str, StageRecord] | None = None,
) -> Record:
    """The record of an execution as it stands. `logs` say by attempt id what the log files hold.

    `kept`: the stages that were told before and have not changed, by name.
    """
    audit, kept = audit or Audit(), kept or {}
    return Record(
        id=execution.id,
        schema=SCHEMA,
        pipeline=execution.pipeline,
        number=execution.number,
        commit=execution.commit,
        ref=execution.ref,
        since=execution.previous,
        trigger=execution.trigger,
        actor=execution.actor,
        status=state.status,
        message=state.message,
        created_at=execution.created_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        written_at=now,
        stopped_by=state.stop.by if state.stop else "",
        rollback=execution.rollback,
        variables={**plan.variables, **execution.variables},
        definition=plan.definition,
        timings=dict(timings or {}),
        stages=tuple(
            kept.get(stage.name) or _stage(execution, stage, state.stages.get(stage.name), logs or {}, audit)
            for stage in plan.stages
        ),
        policy=audit.policy,
        signers=audit.signers,
    )


def _stage(execution: Execution, planned: PlannedStage, state: StageState | None, logs: Logs, audit: Audit) -> StageRecord:
    reached = state.actions if state else {}
    actions = (_action(execution, planned.name, action, reached.get(action.name), logs, audit) for action in planned.actions)
    if state is None:
        return StageRecord(name=planned.name, actions=tuple(actions))
    return StageRecord(
        name=planned.name,
        status=state.status,
        attempt=state.attempt,
        arrived_at=state.arrived_at,
        entered_at=state.entered_at,
        ended_at=state.ended_at,
        message=state.message,
        rolled_back_by=state.rollback.number if state.rollback else 0,
        conditions=tuple(_conditions(planned, state.gates)),
        actions=tuple(actions),
    )


def _conditions(planned: PlannedStage, gates: Mapping[Gate, GateState]) -> Iterator[ConditionRecord]:
    conditions = {
        Gate.BEFORE_ENTRY: planned.before_entry,
        Gate.ON_SUCCESS: planned.on_success,
        Gate.ON_FAILURE: planned.on_failure.condition,
    }
    for gate, condition in conditions.items():
        if condition and gate in gates:
            state = gates[gate]
            yield ConditionRecord(
                gate=gate,
                status=_condition_status(condition, state),
                overridden_by=state.overridden_by,
                rules=tuple(_rule(condition, index, state) for index in range(len(condition.rules))),
            )


def _rule(condition: Condition, index: int, state: GateState) -> RuleRecord:
    rule, ended = condition.rules[index], state.ended.get(index)
    status = ended.status if ended else (Status.IN_PROGRESS if index in state.started else None)
    return RuleRecord(provider=rule.provider, name=rule.name, status=status, message=ended.message if ended else "")


def _condition_status(condition: Condition, state: GateState) -> str:
    if state.overridden_by:
        return "Overridden"
    if any(ended.errored for ended in state.ended.values()):
        return "Errored"
    statuses = {ended.status for ended in state.ended.values()}
    for status in (Status.FAILED, Status.ABANDONED):
        if status in statuses:
            return status.value
    return Status.SUCCEEDED.value if len(state.ended) == len(condition.rules) else Status.IN_PROGRESS.value


def _action(
    execution: Execution, stage: StageName, planned: PlannedAction, state: ActionState | None, logs: Logs, audit: Audit
) -> ActionRecord:
    kind = _kind(planned.work)
    asked = _approval(planned.work, state, audit)
    named = ActionRecord(name=planned.name, kind=kind, continue_on_error=planned.continue_on_error, approval=asked)
    if state is None:
        return named

    def log(attempt: int) -> LogRecord | None:
        return logs.get(attempt_id(execution.id, stage, planned.name, attempt))

    first = state.attempt - len(state.former)
    former = tuple(_attempt(outcome, number, log(number)) for number, outcome in enumerate(state.former, first))
    latest = _attempt(state.outcome, state.attempt, log(state.attempt)) if state.outcome else AttemptRecord()
    fields = msgspec.structs.asdict(latest) | {
        "attempt": state.attempt,
        "status": state.status,
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "secrets": _secrets(planned, state),
    }
    return msgspec.structs.replace(named, former=former, **fields)


def _secrets(planned: PlannedAction, state: ActionState) -> tuple[str, ...]:
    """The names of the secrets that some attempt was given; one that the operator's policy refused got none."""
    ended = (*state.former, *([state.outcome] if state.outcome else []))
    refused = bool(ended) and all(outcome.reason is Reason.POLICY for outcome in ended) and not state.is_running
    return () if refused else tuple(sorted(planned.secrets))


def _attempt(outcome: Outcome, number: int, log: LogRecord | None) -> AttemptRecord:
    if log is None and outcome.log_bytes:
        log = LogRecord(lines=outcome.log_lines, bytes=outcome.log_bytes)
    if log and outcome.succeeded:
        log = msgspec.structs.replace(log, tail=())
    return AttemptRecord(
        attempt=number,
        status=outcome.status,
        ended_at=outcome.ended_at,
        reason=outcome.reason,
        message=outcome.message,
        exit_code=outcome.exit_code,
        outputs=outcome.outputs,
        artifacts=outcome.artifacts,
        tests=outcome.tests,
        image=outcome.image,
        resolved=outcome.resolved,
        timings=outcome.timings,
        log=log,
        link=outcome.link,
    )


def _kind(work: Work) -> str:
    match work:
        case Run():
            return "run"
        case Approval():
            return "approval"
        case Deploy():
            return "deploy"
        case _:
            return work.provider


def _approval(work: Work, state: ActionState | None, audit: Audit) -> ApprovalRecord | None:
    if not isinstance(work, Approval):
        return None
    return ApprovalRecord(
        groups=work.groups,
        not_author=work.not_author,
        message=work.message,
        url=work.url,
        deadline=state.deadline if state else None,
        answers=tuple(
            AnswerRecord(
                at=answer.at,
                person=answer.person,
                approved=answer.approved,
                comment=answer.comment,
                tag=answer.tag,
                fingerprint=answer.fingerprint,
                signers=audit.of_answer(answer.tag),
            )
            for answer in (state.answers if state else ())
        ),
    )
