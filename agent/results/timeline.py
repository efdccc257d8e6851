"""The lines of ours that a pusher sees while an execution goes on: pure, one event at a time."""

from datetime import datetime
from typing import assert_never

from agent.execution.events import (
    ActionEnded,
    ActionStarting,
    ApprovalAnswered,
    ConditionOverridden,
    Event,
    ExecutionEnded,
    ExecutionStarted,
    RollbackStarted,
    RuleEnded,
    RuleStarting,
    StageArrived,
    StageEnded,
    StageEntered,
    StageRetried,
    StopRequested,
)
from agent.execution.state import ActionState, ExecutionState
from agent.model.execution import Execution
from agent.model.outcome import Outcome, Status
from agent.model.plan import Approval, Condition, Plan, PlannedStage, RetryMode
from agent.results import summary
from agent.results.record import ApprovalRecord, AttemptRecord


def line_for(event: Event, execution: Execution, plan: Plan, state: ExecutionState) -> tuple[str, ...]:
    """What to tell the pusher of an event; `state` is the one after it. Empty for what is of no interest."""
    match event:
        case ExecutionStarted():
            why = summary.cause(execution.trigger, execution.ref, execution.actor, execution.rollback)
            return (f"{execution.label}  started  ({why})",)
        case ExecutionEnded():
            return _over(event, execution, state)
        case StopRequested():
            how = "asked to stop and to end what runs" if event.abandon else "asked to stop"
            return (f"{execution.label}  {how} by {_told(event.by, event.reason)}",)
        case ActionStarting() | ActionEnded() | ApprovalAnswered():
            return _action(event, execution, plan, state)
        case _:
            return _stage(event, execution, plan, state)


StageLine = (
    StageArrived | StageEntered | RuleStarting | RuleEnded | ConditionOverridden | StageRetried | RollbackStarted | StageEnded
)  # fmt: skip


def _stage(event: StageLine, execution: Execution, plan: Plan, state: ExecutionState) -> tuple[str, ...]:
    match event:
        case StageArrived() | RuleStarting():
            return ()
        case StageEntered():
            return (f"{event.stage}  started",)
        case RuleEnded():
            return _rule(event, plan)
        case ConditionOverridden():
            return (f"{event.stage}  condition overridden by {_told(event.by, event.reason)}",)
        case StageRetried():
            what = "all actions" if event.mode is RetryMode.ALL_ACTIONS else "the failed actions"
            who = "by itself" if event.automatic else f"asked by {_told(event.by, event.reason)}"
            return (f"{event.stage}  runs {what} again, {who}",)
        case RollbackStarted():
            new = f"is rolled back by {execution.pipeline} #{event.number}"
            return (f"{event.stage}  {new if event.execution else 'has no former success to roll back to'}",)
        case StageEnded():
            entered = state.stages[event.stage].entered_at if event.stage in state.stages else None
            return (f"{event.stage}  {_ended(event.status, entered, event.at, event.message)}",)
        case _:
            assert_never(event)


def _action(
    event: ActionStarting | ActionEnded | ApprovalAnswered, execution: Execution, plan: Plan, state: ExecutionState
) -> tuple[str, ...]:
    place = f"{event.stage}/{summary.clean(event.action)}"
    match event:
        case ActionStarting():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return _question(event, execution, plan, state) or (f"{place}  started{again}",)
        case ActionEnded():
            started = _find(event, state)
            outcome = event.outcome
            said = outcome.message if outcome.succeeded else _why(outcome)
            return (f"{place}  {_ended(outcome.status, started.started_at if started else None, event.at, said)}",)
        case ApprovalAnswered():
            said = "approved" if event.approved else "rejected"
            more = "" if event.complete or not event.approved else "; more must agree"
            return (f"{place}  {said} by {_told(event.person, event.comment)}{more}",)


def _find(event: ActionEnded, state: ExecutionState) -> ActionState | None:
    stage = state.stages.get(event.stage)
    found = stage.actions.get(event.action) if stage else None
    return found if found and found.attempt == event.attempt else None


def _why(outcome: Outcome) -> str:
    tests = summary.tests(outcome.tests) if outcome.tests else ""
    short = AttemptRecord(status=outcome.status, reason=outcome.reason, message=outcome.message, exit_code=outcome.exit_code)
    return "; ".join(part for part in (summary.why(short), tests) if part)


def _question(event: ActionStarting, execution: Execution, plan: Plan, state: ExecutionState) -> tuple[str, ...]:
    """Who is asked, and the commands to answer with; empty if the action is no approval."""
    stage = _planned(plan, event.stage)
    works = {action.name: action.work for action in stage.actions} if stage else {}
    work = works.get(event.action)
    if not isinstance(work, Approval):
        return ()
    asked = ApprovalRecord(groups=work.groups, not_author=work.not_author, deadline=event.deadline)
    said = "  ".join(summary.clean(text) for text in (work.message, work.url) if text.strip())
    which = event.action if sum(isinstance(other, Approval) for other in works.values()) > 1 else ""
    handle = f"{execution.pipeline}#{execution.number}"
    lines = (
        f"{event.stage}/{event.action}  waits for {summary.question(asked)}",
        f"  {said}" if said else "",
        f"  to approve: {summary.steps(handle, event.stage, execution.commit, action=which)}",
        f"  to reject:  {summary.REJECT}",
    )
    return tuple(line for line in lines if line)


def _planned(plan: Plan, name: str) -> PlannedStage | None:
    return next((stage for stage in plan.stages if stage.name == name), None)


def _rule(event: RuleEnded, plan: Plan) -> tuple[str, ...]:
    if event.status is Status.SUCCEEDED:
        return ()
    stage = _planned(plan, event.stage)
    conditions: dict[str, Condition | None] = {}
    if stage:
        conditions = {
            "before_entry": stage.before_entry, "on_success": stage.on_success, "on_failure": stage.on_failure.condition
        }  # fmt: skip
    rules = condition.rules if (condition := conditions.get(event.gate)) else ()
    rule = rules[event.index] if event.index < len(rules) else None
    named = f" {rule.name or rule.provider}" if rule else ""
    return (f"{event.stage}  {event.gate}{named} {_ended(event.status, None, event.at, event.message)}",)


def _ended(status: Status, start: datetime | None, end: datetime, message: str = "") -> str:
    """succeeded in 3.2s; failed in 3.2s: exit code 1"""
    took = summary.duration(summary.spent(start, end))
    said = f": {summary.clean(message)}" if message.strip() and status is not Status.SUCCEEDED else ""
    return f"{summary.word(status).lower()}{f' in {took}' if took else ''}{said}"


def _told(person: str, comment: str) -> str:
    return summary.clean(person or "the operator") + (f": {summary.clean(comment)}" if comment.strip() else "")


def _over(event: ExecutionEnded, execution: Execution, state: ExecutionState) -> tuple[str, ...]:
    """The result, and where to read more."""
    commit = execution.commit[:12]
    result = f"{execution.label}  {_ended(event.status, state.started_at, event.at, event.message)}"
    if not state.stages:
        return (result,)
    return (
        result,
        f"  to read it: git pipeline log {execution.pipeline}#{execution.number}",
        f"  or with git alone: git fetch origin 'refs/notes/*:refs/notes/*' && git log -1 --notes=pipeline {commit}",
    )
