"""Notices for tests, made of a story by the real code, and what notifiers may use."""

from collections.abc import Iterator

from agent.aws.session import Sessions
from agent.execution.fold import evolve
from agent.execution.state import ExecutionState
from agent.model.notice import Notice
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import Approval, Group
from agent.notify.base import Means
from agent.notify.notices import notices
from agent.results.timeline import line_for
from agent.settings import Mail
from tests.support.stories import Story, action, plan, stage

ASKED = Approval(groups=(Group(any_of=("qa-lead",)),), message="Check staging", url="https://staging.example.com")
RELEASE = plan(
    stage("build", action("unit"), action("package")),
    stage("sign-off", action("qa", ASKED)),
)


def told(story: Story) -> Iterator[Notice]:
    """All notices of a story."""
    state = ExecutionState()
    for event in story.events:
        state = evolve(state, event)
        yield from notices(event, story.execution, story.plan, state, line_for(event, story.execution, story.plan, state))


def asks() -> Story:
    """A story until the approval is needed."""
    story = Story(RELEASE).begin().enter("build").start("build", "unit", "package").after(3)
    story.end("build", "unit").end("build", "package").leave("build").enter("sign-off")
    return story.start("sign-off", "qa", days=7)


def fails() -> Story:
    """A story in which a test fails."""
    story = Story(RELEASE).begin().enter("build").start("build", "unit", "package").after(3)
    story.end("build", "package").fail("build", "unit", 2, message="exit code 2")
    return story.leave("build", Status.FAILED).finish(Status.FAILED)


def rejected() -> Story:
    """A story in which the approval is refused."""
    no = Outcome(status=Status.FAILED, reason=Reason.REJECTED, message="rejected by alice")
    return asks().end("sign-off", "qa", **{name: getattr(no, name) for name in ("status", "reason", "message")})


def one(event: str, story: Story | None = None) -> Notice:
    """The notice of this event in a story; without one in any that has it."""
    stories = [story] if story else [asks(), fails(), rejected(), asks().finish()]
    return next(notice for each in stories for notice in told(each) if notice.event == event)


def means(secrets: dict[str, bytes] | None = None, **more: object) -> Means:
    """What notifiers may use, with these secrets."""
    known = secrets or {}
    fields = {"sessions": Sessions(), "secret": known.__getitem__, "mail": Mail(), **more}
    return Means(**fields)
