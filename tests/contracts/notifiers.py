"""What every Notifier has to do. A test module inherits from `NotifierContract`, gives the fixture `notifier` and says how its
other side is looked at (`arrived`, the ids or texts that came) and made to fail (`refuse` for ever, `fail` for now)."""

import pytest

from agent.aws.session import AwsFault
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


class AwsNotifierContract(NotifierContract):
    """Of one in AWS; `as_role` is one that assumes a role."""

    def as_role(self, role: str):
        raise NotImplementedError

    def test_throttled_for_longer_than_the_sdk_asks_again_it_may_be_tried_again(self, notifier, cloud, monkeypatch):
        monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
        cloud.gate.busy = 8
        with pytest.raises(EnvironmentFault, match="Rate exceeded") as caught:
            notifier.send(one("execution.failed"))
        assert not isinstance(caught.value, NotDelivered)
        notifier.send(one("execution.failed"))
        cloud.gate.open()
        assert self.arrived() == 1

    def test_no_credentials(self, notifier, cloud, monkeypatch):
        with monkeypatch.context() as patch:
            patch.delenv("AWS_ACCESS_KEY_ID")
            patch.delenv("AWS_SECRET_ACCESS_KEY")
            with pytest.raises(AwsFault, match="Unable to locate credentials") as caught:
                notifier.send(one("execution.failed"))
        assert "credentials" in caught.value.hint
        assert self.arrived() == 0

    def test_credentials_that_have_expired(self, notifier, cloud):
        """The agent's own ones have to be renewed by somebody; then the same notice arrives."""
        cloud.gate.expire(0)
        with pytest.raises(AwsFault, match="expired") as caught:
            notifier.send(one("execution.failed"))
        assert caught.value.hint == "the agent's own AWS credentials have expired: renew them"
        cloud.gate.open()
        notifier.send(one("execution.failed"))
        assert self.arrived() == 1

    def test_credentials_of_a_role_that_have_expired_are_renewed(self, notifier, cloud):
        cloud.gate.expire(0)
        self.as_role(cloud.role("tell")).send(one("execution.failed"))
        assert [each.operation for each in cloud.gate.asked].count("AssumeRole") == 2
        cloud.gate.open()
        assert self.arrived() == 1
