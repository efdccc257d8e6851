"""Publishing beside the loop: the newest state of each, one at a time, and no end of it by an error."""

import time
from queue import SimpleQueue

import pytest
from msgspec.structs import replace

from agent.errors import EnvironmentFault
from agent.worker.publishing import Publishing, Snapshot
from tests.support.stories import Story
from tests.support.tales import RELEASE

LONG = 30.0


def snapshot(number, seq=0):
    story = Story(RELEASE, number=number)
    return Snapshot(execution=story.execution, plan=story.plan, state=replace(story.state, seq=seq))


class Notes:
    """In the place of the notes: what is published, when the test lets it."""

    def __init__(self):
        self.entered, self.go, self.told = SimpleQueue(), SimpleQueue(), SimpleQueue()

    def publish(self, one):
        self.entered.put((one.execution.number, one.state.seq))
        error = self.go.get(timeout=LONG)
        if error:
            raise error

    def done(self, one, fault):
        self.told.put((one.execution.number, one.state.seq, fault))


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def publishing(notes):
    return Publishing(notes.publish, notes.done)


def test_only_the_newest_state_of_what_waits_is_published(notes, publishing):
    publishing.offer(snapshot(1, 1))
    assert notes.entered.get(timeout=LONG) == (1, 1)
    for seq in (2, 3):
        publishing.offer(snapshot(1, seq))
        publishing.offer(snapshot(2, seq))
    for _ in range(3):
        notes.go.put(None)
    assert [notes.entered.get(timeout=LONG) for _ in range(2)] == [(1, 3), (2, 3)]
    assert [notes.told.get(timeout=LONG) for _ in range(3)] == [(1, 1, None), (1, 3, None), (2, 3, None)]


def test_what_merely_goes_on_waits_and_is_overtaken_by_what_does_not(notes, publishing, monkeypatch):
    publishing.offer(snapshot(1, 1), at_once=False)  # the first of all
    notes.go.put(None)
    assert notes.told.get(timeout=LONG) == (1, 1, None)
    monkeypatch.setattr("agent.worker.publishing.PACE", 3600)
    publishing.offer(snapshot(1, 2), at_once=False)
    assert not publishing.is_idle
    notes.go.put(None)
    publishing.offer(snapshot(2, 1), at_once=False)  # another execution need not wait for it
    assert notes.told.get(timeout=LONG) == (2, 1, None)
    notes.go.put(None)
    publishing.offer(snapshot(1, 3))
    assert notes.told.get(timeout=LONG) == (1, 3, None)
    assert [notes.entered.get(timeout=LONG) for _ in range(3)] == [(1, 1), (2, 1), (1, 3)]


def test_what_merely_goes_on_is_published_after_a_moment(notes, publishing, monkeypatch):
    monkeypatch.setattr("agent.worker.publishing.PACE", 0.05)
    for seq in (1, 2):
        notes.go.put(None)
        publishing.offer(snapshot(1, seq), at_once=False)
        assert notes.told.get(timeout=LONG) == (1, seq, None)


def test_not_idle_before_the_last_one_is_told(notes, publishing):
    assert publishing.is_idle
    publishing.offer(snapshot(1))
    notes.entered.get(timeout=LONG)
    assert not publishing.is_idle
    notes.go.put(None)
    deadline = time.monotonic() + LONG
    while not publishing.is_idle:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert not notes.told.empty()


@pytest.mark.parametrize("error", [EnvironmentFault("disk full"), ValueError("a bug")])
def test_a_failure_is_told_and_the_next_one_goes_on(notes, publishing, error):
    publishing.offer(snapshot(1))
    notes.go.put(error)
    number, _, fault = notes.told.get(timeout=LONG)
    assert number == 1
    assert isinstance(fault, EnvironmentFault)
    assert str(error) in fault.message
    notes.go.put(None)
    publishing.offer(snapshot(1))
    assert notes.told.get(timeout=LONG)[2] is None


def test_nothing_is_lost_between_two_looks(notes, publishing):
    """What is offered while the thread is just going to wait is published too."""
    for seq in range(200):
        notes.go.put(None)
        publishing.offer(snapshot(1, seq))
    deadline = time.monotonic() + LONG
    while (told := notes.told.get(timeout=LONG))[1] != 199:
        assert time.monotonic() < deadline, told
