"""What every Notifier has to do. A test module inherits from `NotifierContract`, gives the fixture `notifier` and says how its
other side is looked at (`arrived`, the ids or texts that came) and made to fail (`refuse` for ever, `fail` for now)."""

import pytest

from agent.errors import EnvironmentFault
from agent.notify.base import NotDelivered
from tests.support.notices import asks, fails, one, told

SECRET = "s3cr3t-of-the-tests"


class NotifierContract:
    def arrived(self) -> int:
        """How many messages the other side has."""
        raise NotImplementedError

    def fail(self) -> None:
        """From now on the other side fails in a way that may pass."""
        raise NotImplementedError

    def heal(self) -> None:
        """It works again."""
        raise NotImplementedError

    def test_a_notice_arrives(self, notifier):
        notifier.send(one("execution.started"))
        assert self.arrived() == 1

    def test_every_notice_can_be_sent(self, notifier):
        sent = [notice for story in (asks(), fails()) for notice in told(story)]
        for notice in sent:
            notifier.send(notice)
        assert 0 < self.arrived() <= len(sent)

    def test_the_same_again_is_no_fault(self, notifier):
        for _ in range(2):
            notifier.send(one("approval.needed"))
        assert self.arrived() == 2

    def test_what_fails_for_now_is_said_and_may_be_tried_again(self, notifier):
        self.fail()
        with pytest.raises(EnvironmentFault) as caught:
            notifier.send(one("execution.failed"))
        assert not (isinstance(caught.value, NotDelivered) and caught.value.refused)
        assert SECRET not in str(caught.value)
        self.heal()
        notifier.send(one("execution.failed"))
        assert self.arrived() >= 1
