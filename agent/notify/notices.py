"""From journalled events to notices. Pure: nothing but what the record of an execution may say goes in."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from agent.execution.events import (
    ActionEnded,
    ActionStarting,
    Event,
    ExecutionEnded,
    ExecutionStarted,
    StageEnded,
    StageEntered,
    StageRetried,
    StopRequested,
)
from agent.execution.state import ExecutionState
from agent.model.execution import Execution
from agent.model.ids import attempt_id
from agent.model.notice import EVENTS, Failure, Notice, Question
from agent.model.outcome import Status
from agent.model.plan import Approval, Deploy, Plan, PlannedAction, Run

_WORDS = {
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.STOPPED: "stopped",
    Status.CANCELLED: "stopped",
    Status.ABANDONED: "stopped",
    Status.SUPERSEDED: "superseded",
}


def notices(event: Event, execution: Execution, plan: Plan, state: ExecutionState, lines: Sequence[str] = ()) -> Iterator[Notice]:
    """What an event is to the outside: nothing, one notice or two; `state` is the one after it, `lines` say it in words."""
    known = Notice(
        id="", event="", at=event.at, execution=execution, started_at=state.started_at, status=state.status, lines=tuple(lines)
    )
    for name, fields in _of(event, execution, plan, state):
        if name in EVENTS:
            yield replace(known, id=f"{execution.id}-{state.seq}-{name}", event=name, **fields)


Fields = dict[str, object]


def _of(event: Event, execution: Execution, plan: Plan, state: ExecutionState) -> Iterator[tuple[str, Fields]]:
    match event:
        case ExecutionStarted():
            yield "execution.started", {"status": Status.IN_PROGRESS}
        case StopRequested():
            yield "execution.stopping", {"status": Status.STOPPING, "message": event.reason}
        case ExecutionEnded():
            failures = _failures(state) if event.status is Status.FAILED else ()
            fields: Fields = {"status": event.status, "message": event.message, "failures": failures, "attempt": _attempt(state)}
            yield f"execution.{_WORDS.get(event.status)}", fields
        case StageEntered() | StageRetried() | StageEnded():
            yield from _stage(event, state)
        case ActionStarting() | ActionEnded():
            yield from _action(event, execution, plan)
        case _:
            return


def _stage(event: StageEntered | StageRetried | StageEnded, state: ExecutionState) -> Iterator[tuple[str, Fields]]:
    stage = state.stages.get(event.stage)
    fields: Fields = {"stage": event.stage, "attempt": stage.attempt if stage else 1, "status": Status.IN_PROGRESS}
    match event:
        case StageEntered():
            if not stage or stage.attempt == 1:  # of a further attempt it was said that it is resumed
                yield "stage.started", fields
        case StageRetried():
            yield "execution.resumed", {"status": Status.IN_PROGRESS, "attempt": _attempt(state)}
            yield "stage.resumed", fields
        case StageEnded():
            failures = tuple(failure for failure in _failures(state) if failure.stage == event.stage)
            failed = event.status is Status.FAILED
            more: Fields = {"status": event.status, "message": event.message, "failures": failures if failed else ()}
            yield f"stage.{_WORDS.get(event.status)}", fields | more


def _action(event: ActionStarting | ActionEnded, execution: Execution, plan: Plan) -> Iterator[tuple[str, Fields]]:
    planned = _planned(plan, event.stage, event.action)
    work = planned.work if planned else None
    fields: Fields = {
        "stage": event.stage,
        "action": event.action,
        "attempt": event.attempt,
        "provider": _provider(planned),
        "question": _question(event, execution, work) if isinstance(work, Approval) else None,
    }
    what = "approval" if isinstance(work, Approval) else "action"
    if isinstance(event, ActionStarting):
        yield ("approval.needed" if what == "approval" else "action.started"), fields | {"status": Status.IN_PROGRESS}
        return
    outcome = event.outcome
    word = _WORDS.get(outcome.status, "")
    if what == "approval" and word == "stopped":
        word = "failed"
    more: Fields = {"status": outcome.status, "message": outcome.message, "link": outcome.link}
    yield f"{what}.{word}", fields | more | {"artifacts": tuple(artifact.name for artifact in outcome.artifacts)}


def _question(event: ActionStarting | ActionEnded, execution: Execution, work: Approval) -> Question:
    return Question(
        message=work.message,
        url=work.url,
        token=attempt_id(execution.id, event.stage, event.action, event.attempt),
        deadline=event.deadline if isinstance(event, ActionStarting) else None,
    )


def _planned(plan: Plan, stage: str, action: str) -> PlannedAction | None:
    actions = (one for each in plan.stages if each.name == stage for one in each.actions)
    return next((one for one in actions if one.name == action), None)


def _provider(planned: PlannedAction | None) -> str:
    match planned.work if planned else None:
        case Run():
            return "run"
        case Deploy():
            return "deploy"
        case Approval():
            return "approval"
        case None:
            return ""
        case used:
            return used.provider


def _failures(state: ExecutionState) -> tuple[Failure, ...]:
    return tuple(
        Failure(stage=stage, action=name, message=action.outcome.message if action.outcome else "")
        for stage, reached in state.stages.items()
        for name, action in reached.actions.items()
        if action.status is Status.FAILED and reached.status is Status.FAILED
    )


def _attempt(state: ExecutionState) -> int:
    return max((stage.attempt for stage in state.stages.values()), default=1)
