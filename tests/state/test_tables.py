"""The small tables: pushes, verdicts, requests, transitions, schedules, marks."""

import pytest

from agent.state import pushes
from agent.state.database import Conflict, open_database
from agent.state.marks import Marks
from agent.state.pushes import Pushes, Recorded
from agent.state.requests import Requests
from agent.state.schedules import Schedules
from agent.state.transitions import Closed, Transitions
from agent.state.verdicts import Verdict, Verdicts


@pytest.fixture
def database(tmp_path):
    return open_database(str(tmp_path / "state.db"))


def recorded(push_id, at="t", process="1", state=pushes.PENDING):
    return Recorded(push_id, at, process, state, "{}")


def test_a_push_is_closed_once(database):
    table = Pushes(database)
    table.record(recorded("a", at="2"))
    table.record(recorded("b", at="1"))
    assert [push.id for push in table.open()] == ["b", "a"]
    table.confirm("a", "[]")
    assert table.get("a") == recorded("a", at="2", state=pushes.CONFIRMED)._replace(body="[]")
    assert table.close("a", pushes.SETTLED)
    assert not table.close("a", pushes.SETTLED)
    assert [push.id for push in table.open()] == ["b"]
    with pytest.raises(Conflict):
        table.record(recorded("a"))


def test_the_last_push_of_a_process(database):
    table = Pushes(database)
    for push_id in ("a", "b"):
        table.record(recorded(push_id))
    assert table.of_process("1").id == "b"
    assert table.of_process("2") is None


def test_only_old_pushes_that_are_over_are_forgotten(database, monkeypatch):
    monkeypatch.setattr(pushes, "KEPT", 2)
    table = Pushes(database)
    table.record(recorded("open"))
    for push_id in "abcd":
        table.record(recorded(push_id, state=pushes.SETTLED))
    table.forget_old()
    assert [push_id for push_id in ("open", *"abcd") if table.get(push_id)] == ["open", "c", "d"]


def test_verdicts_are_kept_by_key(database):
    verdicts = Verdicts(database)
    assert verdicts.get("tree:1") is None
    verdicts.put("tree:1", Verdict(False, "wrong"))
    verdicts.put("tree:1", Verdict(True, "[]"))
    assert verdicts.get("tree:1") == Verdict(True, "[]")
    assert verdicts.get("tree:2") is None


def test_a_request_is_answered_once_asked(database):
    requests = Requests(database)
    first = requests.add("t", "stop", "{}")
    assert requests.add("t", "approve", "{}", once="tag-1") == requests.add("u", "approve", "{}", once="tag-1") == first + 1
    assert [request.kind for request in requests.open()] == ["stop", "approve"]
    requests.settle(first, "refused", "it has ended")
    assert [request.kind for request in requests.open()] == ["approve"]
    assert (requests.get(first).state, requests.get(first).answer) == ("refused", "it has ended")


def test_transitions(database):
    transitions = Transitions(database)
    transitions.close(Closed("release", "production", "freeze", "alice", "t"))
    transitions.close(Closed("release", "production", "still", "bob", "u"))
    assert transitions.closed() == transitions.closed("release") == (Closed("release", "production", "still", "bob", "u"),)
    assert transitions.closed("docs") == ()
    assert transitions.open("release", "production")
    assert not transitions.open("release", "production")


def test_a_schedule_fires_once(database):
    schedules = Schedules(database)
    at = "2026-01-01T03:00:00+00:00"
    assert schedules.last("release", "main", "0 3 * * *") == ""
    assert schedules.fire("release", "main", "0 3 * * *", at)
    assert not schedules.fire("release", "main", "0 3 * * *", at)
    assert not schedules.fire("release", "main", "0 3 * * *", "2025-12-31T03:00:00+00:00")
    assert schedules.last("release", "main", "0 3 * * *") == at


def test_refs_as_last_seen(database):
    marks = Marks(database)
    marks.saw([("refs/heads/main", "a" * 40), ("refs/heads/old", "b" * 40)])
    marks.saw([("refs/heads/main", "c" * 40), ("refs/heads/old", "0" * 40)])
    assert marks.refs() == {"refs/heads/main": "c" * 40}
    assert marks.get("x") == ""
    marks.put("x", "y")
    assert marks.get("x") == "y"
