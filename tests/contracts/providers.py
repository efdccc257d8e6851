"""What every provider on AWS has to do, whatever AWS and its own worker do. A test module of one inherits `ProviderContract`.

It gives a fixture `bench`, whose world lets an attempt succeed, `held`, what the server holds of what was started there, and
`hang`, after which nothing ends there by itself.
"""

from datetime import timedelta
from itertools import count

import pytest

from agent.aws.session import AwsFault, Sessions
from agent.config import Account
from agent.model.outcome import Reason, Status
from tests.support.attempts import using, utc_now

READS = ("describe_", "get_", "list_", "batch_get_", "head_")


class Killed(BaseException):
    """The worker is no more."""


class Fate:
    """In place of the event that tells an action to stop: what happens when the action waits for the first time."""

    def __init__(self, happens):
        self._happens = happens
        self.is_stopped = False

    def is_set(self):
        return self.is_stopped

    def wait(self, seconds):
        happens, self._happens = self._happens, lambda: None
        happens()


class Deadly:
    """Clients, or a service of them: after so many changes got through, nobody is there to hear of the last one."""

    def __init__(self, real, left):
        self._real = real
        self._left = left

    def __getattr__(self, name):
        return getattr(self._real, name)

    def __call__(self, name, /, **more):
        answer = self._real(name, **more)
        if callable(answer):
            return Deadly(answer, self._left)
        return self._heard(name, answer)

    def upload(self, *arguments, **more):
        return self._heard("upload", self._real.upload(*arguments, **more))

    def whole(self, operation, *arguments, **more):
        return self._heard(operation, self._real.whole(operation, *arguments, **more))

    def _heard(self, operation, answer):
        if not operation.startswith(READS) and not next(self._left, True):
            raise Killed
        return answer


class ProviderContract:
    uses: str
    provider: type
    options: dict
    hanging: dict = {}  # further options for an attempt that never ends
    done: list  # what is held of an attempt that has succeeded
    stopped: list  # of two that were ended
    good_for = 2  # requests after which credentials expire

    def held(self, cloud) -> list:
        raise NotImplementedError

    def hang(self, monkeypatch) -> None:
        raise NotImplementedError

    def nth(self, number: int) -> dict:
        """The options of an attempt."""
        return self.options

    def go_on(self, cloud) -> None:
        """What becomes of things while there is no worker."""

    def after(self, times: int) -> list:
        """What is held after so many attempts that have succeeded."""
        return self.done * times

    def perform(self, bench, number=1, **more):
        return self.provider().perform(using(self.uses, {**self.nth(number), **more}, number=number), bench)

    def test_throttled_for_longer_than_the_sdk_asks_again(self, bench, cloud):
        cloud.gate.busy = 8  # it asks six times
        assert self.perform(bench).status is Status.SUCCEEDED
        cloud.gate.open()
        assert self.held(cloud) == self.after(1)

    def test_its_time_is_over_or_it_is_stopped(self, bench, cloud, monkeypatch):
        self.hang(monkeypatch)
        for number, reason in enumerate((Reason.TIMEOUT, Reason.STOPPED), 1):

            def happens(reason=reason):
                bench.stop.is_stopped = reason is Reason.STOPPED
                bench.now = lambda: utc_now() + timedelta(days=reason is Reason.TIMEOUT)

            bench.stop, bench.now = Fate(happens), utc_now
            outcome = self.perform(bench, number, **self.hanging)
            assert outcome.reason is reason, outcome.message
        assert self.held(cloud) == self.stopped

    def test_the_worker_is_killed_while_it_waits_and_after_each_change(self, bench, cloud):
        clients, stop = bench.clients, bench.stop

        def die():
            raise Killed

        bench.stop = Fate(die)
        for number in count(1):
            try:
                self.perform(bench, number)
                is_killed = False
            except Killed:
                is_killed = True
            bench.stop, bench.clients = stop, clients
            self.go_on(cloud)
            self.resumed(self.perform(bench, number))
            assert self.held(cloud) == self.after(number), (number, self.held(cloud))
            if number > 1 and not is_killed:
                break
            bench.clients = lambda *place, left=number - 1: Deadly(clients(*place), iter(range(left, -1, -1)))

    def resumed(self, outcome) -> None:
        assert outcome.status is Status.SUCCEEDED, outcome.message

    def test_no_credentials(self, bench, cloud, monkeypatch):
        bench.sessions = Sessions()
        with monkeypatch.context() as patch:
            patch.delenv("AWS_ACCESS_KEY_ID")
            patch.delenv("AWS_SECRET_ACCESS_KEY")
            with pytest.raises(AwsFault, match="Unable to locate credentials") as caught:
                self.perform(bench)
        assert "credentials" in caught.value.hint
        assert self.held(cloud) == self.after(0)

    def test_credentials_expire_in_the_middle(self, bench, cloud):
        """The agent's own ones have to be renewed by somebody; then the same attempt goes on."""
        cloud.gate.expire(self.good_for)
        with pytest.raises(AwsFault, match="expired") as caught:
            self.perform(bench)
        assert caught.value.hint == "the agent's own AWS credentials have expired: renew them"
        cloud.gate.open()
        assert self.perform(bench).status is Status.SUCCEEDED
        assert self.held(cloud) == self.after(1)

    def test_credentials_of_a_role_expire_in_the_middle(self, bench, cloud):
        role = Account(role=cloud.role(f"of-{self.uses}"), region="eu-west-1")
        bench.config = bench.config.model_copy(update={"accounts": {"default": role}})
        cloud.gate.expire(self.good_for)
        assert self.perform(bench).status is Status.SUCCEEDED
        assert [each.operation for each in cloud.gate.asked].count("AssumeRole") == 2
        cloud.gate.open()
        assert self.held(cloud) == self.after(1)
