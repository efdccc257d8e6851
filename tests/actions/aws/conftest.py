"""Actions on AWS look again at once, and the SDK asks again at once: what is tested is what they then do."""

import pytest

from agent.aws.session import Sessions


@pytest.fixture(scope="session")
def sessions() -> Sessions:
    """Of agents with the credentials of `cloud`: it costs much to make clients."""
    return Sessions()


@pytest.fixture(autouse=True)
def _quick(monkeypatch, sessions):
    monkeypatch.setattr("agent.actions.remote.FIRST", 0.01)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr("tests.support.attempts.Sessions", lambda: sessions)
