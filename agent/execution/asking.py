"""Approvals as actions: asked and ended by decisions alone, as nothing runs while people think (codepipeline.md 1.7, 2.3)."""

from datetime import datetime

from agent.execution.events import ActionEnded, ActionStarting
from agent.execution.state import ActionState
from agent.execution.timing import after
from agent.model.ids import ActionName, StageName
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import PlannedAction


def ask(stage: StageName, action: PlannedAction, attempt: int, now: datetime) -> ActionStarting:
    """People are asked from now on, until the deadline."""
    deadline = after(now, action.timeout) or datetime.max.replace(tzinfo=now.tzinfo)
    return ActionStarting(at=now, stage=stage, action=action.name, attempt=attempt, deadline=deadline)


def answered(state: ActionState, now: datetime) -> Outcome | None:
    """How a waiting approval ended: by its first decisive answer, or by its deadline; None while it goes on.

    An answer in the journal was in time: `control` refuses late ones.
    """
    for answer in state.answers:
        if not answer.approved:
            said = f"rejected by {answer.person}" + (f": {answer.comment}" if answer.comment else "")
            return Outcome(status=Status.FAILED, reason=Reason.REJECTED, message=said, ended_at=now)
        if answer.complete:
            people = dict.fromkeys(given.person for given in state.answers)
            return Outcome(status=Status.SUCCEEDED, message=f"approved by {', '.join(people)}", ended_at=now)
    if state.deadline <= now:
        return Outcome(status=Status.FAILED, reason=Reason.EXPIRED, message="nobody decided in time", ended_at=now)
    return None


def withdraw(message: str, now: datetime) -> Outcome:
    """The end of an approval that nobody needs to give any more."""
    return Outcome(status=Status.ABANDONED, reason=Reason.STOPPED, message=message, ended_at=now)


def ended(stage: StageName, action: ActionName, state: ActionState, outcome: Outcome, now: datetime) -> ActionEnded:
    """The event that ends an approval."""
    return ActionEnded(at=now, stage=stage, action=action, attempt=state.attempt, outcome=outcome)
