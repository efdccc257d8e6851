"""`notify`: one message to a destination of the operator's, through the queue that all notifications go through."""

from datetime import datetime

from pydantic import Field

from agent.actions.base import Attempt
from agent.actions.remote import RemoteAction, Work, succeeded
from agent.definition.section import Section
from agent.definition.values import Text
from agent.model.notice import MESSAGE, Notice
from agent.model.outcome import Outcome, Status


class NotifyOptions(Section):
    """Who is told what."""

    to: Text = Field(description="The `name` of one of the operator's `[[notify]]`.")
    message: Text = Field(min_length=1, max_length=3000, description="What is said; it may have several lines.")
    subject: Text = Field(default="", max_length=100, description="Its subject. Default: the pipeline, the stage and the action.")


class NotifyAction(RemoteAction[NotifyOptions]):
    """A Provider. It has succeeded once the message is queued for good: a receiver that is away holds nothing up."""

    Options = NotifyOptions
    outputs = ()

    def act(self, work: Work, options: NotifyOptions) -> Outcome:
        """See RemoteAction. After a crash it is sent again, which queues nothing that was queued already."""
        work.check()
        work.context.send(work.attempt, options.to, options.subject, options.message)
        return succeeded(f"queued for {options.to}")


def said(attempt: Attempt, subject: str, message: str, now: datetime) -> Notice:
    """What a message is to those who deliver it."""
    return Notice(
        id=f"{attempt.id}-{MESSAGE}",
        event=MESSAGE,
        at=now,
        execution=attempt.execution,
        status=Status.IN_PROGRESS,
        stage=attempt.stage.name,
        action=attempt.action.name,
        provider="notify",
        attempt=attempt.number,
        subject=subject or f"{attempt.execution.label}: {attempt.stage.name}/{attempt.action.name}",
        message=message,
        lines=tuple(message.splitlines()),
    )
