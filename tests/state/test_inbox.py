"""Messages from outside, each once."""

import pytest

from agent.state.database import open_database
from agent.state.inbox import Inbox, Told


@pytest.fixture
def inbox(tmp_path):
    database = open_database(str(tmp_path / "state.db"))
    yield Inbox(database)
    database.close()


ONE = Told("github", "d-1", "2026-01-01T00:00:00+00:00", "[]")


def test_a_message_is_taken_once(inbox):
    assert inbox.take(ONE)
    assert inbox.open() == (ONE,)
    inbox.done(ONE)
    assert inbox.open() == ()
    assert not inbox.take(ONE)


def test_one_that_was_cut_short_is_taken_again(inbox):
    assert inbox.take(ONE)
    assert inbox.take(ONE)
    assert len(inbox.open()) == 1


def test_ids_of_different_remotes_do_not_meet(inbox):
    inbox.take(ONE)
    inbox.done(ONE)
    assert inbox.take(ONE._replace(remote="gitlab"))
