"""What waits to be told."""

from contextlib import suppress

import pytest

from agent.state.database import open_database
from agent.state.outbox import Outbox


@pytest.fixture
def database(tmp_path):
    made = open_database(str(tmp_path / "state.db"))
    yield made
    made.close()


@pytest.fixture
def outbox(database):
    return Outbox(database)


def add(outbox, *targets):
    for number, target in enumerate(targets):
        outbox.add(target, "release #1", f"event {number}", f"2026-01-01T00:00:0{number}+00:00", b"{}")


def events(letters):
    return [(letter.target, letter.event) for letter in letters]


def test_each_target_is_told_in_order(outbox):
    add(outbox, "a", "b", "a")
    assert events(outbox.heads()) == [("a", "event 0"), ("b", "event 1")]
    outbox.delivered(outbox.head("a").id)
    assert events(outbox.heads()) == [("b", "event 1"), ("a", "event 2")]
    outbox.delivered(outbox.head("a").id)
    assert outbox.head("a") is None


def test_a_failure_stays_the_head(outbox):
    add(outbox, "a", "a")
    outbox.failed(outbox.head("a").id, "no answer", "2026-01-01T01:00:00+00:00")
    head = outbox.head("a")
    assert (head.event, head.tries, head.error, head.next_at) == ("event 0", 1, "no answer", "2026-01-01T01:00:00+00:00")
    assert events(outbox.late()) == [("a", "event 0")]


def test_what_is_given_up_lets_the_next_one_through_and_is_kept(outbox):
    add(outbox, "a", "a")
    outbox.give_up(outbox.head("a").id, "gone")
    assert outbox.head("a").event == "event 1"
    assert [(letter.event, letter.error) for letter in outbox.given_up()] == [("event 0", "gone")]
    assert outbox.given_up("2026-01-02") == ()
    assert outbox.late() == ()


def test_an_event_that_is_not_journalled_is_not_told(outbox, database):
    with suppress(RuntimeError), database.transaction():
        add(outbox, "a")
        raise RuntimeError
    assert outbox.heads() == ()
