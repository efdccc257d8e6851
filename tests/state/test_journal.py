"""The journal: in order, all or nothing, one writer."""

import pytest

from agent.errors import EnvironmentFault
from agent.state.database import open_database
from agent.state.journal import Journal


@pytest.fixture
def journal(tmp_path):
    return Journal(open_database(str(tmp_path / "state.db")))


def test_keeps_the_order(journal):
    assert journal.append("one", 0, "t1", [b"a", b"b"]) == 2
    assert journal.append("one", 2, "t2", [b"c"]) == 3
    journal.append("two", 0, "t3", [b"z"])
    assert journal.read("one") == (b"a", b"b", b"c")
    assert journal.read("one", after=2) == (b"c",)
    assert journal.last_at() == "t3"


@pytest.mark.parametrize("seq", [0, 1, 3])
def test_a_second_writer_is_found_out(journal, seq):
    journal.append("one", 0, "t", [b"a", b"b"])
    with pytest.raises(EnvironmentFault, match="second worker"):
        journal.append("one", seq, "t", [b"x", b"y"])
    assert journal.read("one") == (b"a", b"b")


def test_nothing_to_append(journal):
    assert journal.append("one", 0, "t", []) == 0
    assert journal.length("one") == 0
