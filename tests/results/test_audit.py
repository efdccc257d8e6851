"""What a record names of the configuration is that of its own end, whatever is in force by then."""

from agent.model.outcome import Status
from agent.results import audit
from agent.results.audit import Standing
from agent.results.recording import make
from tests.support.stories import Story, action, plan, stage

FIRST, SECOND = (Standing(name * 32, b"signers", b"signers") for name in ("aa", "bb"))


def test_the_policy_of_an_end_stays_until_there_is_another():
    story = Story(plan(stage("build", action("unit")))).begin().enter("build").start("build", "unit")
    named = audit.of(None, story.state, FIRST)
    former = make(story.execution, story.plan, story.state, story.now, audit=named)
    story.fail("build", "unit").leave("build", Status.FAILED).finish(Status.FAILED)
    ended = make(story.execution, story.plan, story.state, story.now, audit=audit.of(former, story.state, FIRST))
    assert former.policy == ended.policy == FIRST.policy
    # a retry was asked, and is not in the journal yet
    assert audit.of(ended, story.state, SECOND).policy == FIRST.policy
    # another end
    assert audit.of(former, story.state, SECOND).policy == SECOND.policy
