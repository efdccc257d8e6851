"""Executions: numbers are never used twice, `once` means once, and ten thousand of them are no burden."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from agent.model.execution import Execution, TriggerType
from agent.model.outcome import Status
from agent.state.database import open_database
from agent.state.journal import Journal
from agent.state.outbox import Outbox
from agent.state.queue import ACTIVE, Queue


@pytest.fixture
def database(tmp_path):
    return open_database(str(tmp_path / "state.db"))


@pytest.fixture
def queue(database):
    return Queue(database)


def fields(number, **more):
    return {
        "id": f"{number:026}",
        "pipeline": "release",
        "commit": "a" * 40,
        "ref": "refs/heads/main",
        "trigger": "push",
        "created_at": "2026-01-01T00:00:00+00:00",
        **more,
    }


def test_active_are_the_statuses_that_are_not_final():
    assert set(ACTIVE) == {status.value for status in Status if not status.is_final}


def test_the_body_is_an_execution(queue):
    asked = fields(1, previous="b" * 40, actor="alice", variables={"where": "staging"})
    rollback = {"stage": "production", "target": f"{1:026}", "target_number": 1}
    queue.enqueue(asked)
    queue.enqueue(fields(2, trigger="rollback", rollback=rollback))
    first, second = (msgspec.json.decode(row.body, type=Execution) for row in queue.active())
    assert (first.label, first.actor, first.variables, first.previous) == ("release #1", "alice", {"where": "staging"}, "b" * 40)
    assert first.created_at.utcoffset() is not None
    assert (second.trigger, second.rollback.target_number) == (TriggerType.ROLLBACK, 1)


def test_numbers_count_per_pipeline_and_are_never_used_twice(queue):
    assert queue.enqueue(fields(1)) == (f"{1:026}", 1)
    assert queue.enqueue(fields(2))[1] == 2
    assert queue.enqueue(fields(3, pipeline="docs"))[1] == 1
    queue.set_status(f"{2:026}", "Failed", ended_at="x")
    queue.remove(f"{2:026}")
    assert queue.enqueue(fields(4))[1] == 3
    queue.count_from("release", 41)
    queue.count_from("release", 7)
    assert queue.enqueue(fields(5))[1] == 42


def test_the_same_origin_starts_one_execution(tmp_path, queue):
    def enqueue(number):
        other = Queue(open_database(str(tmp_path / "state.db")))
        return other.enqueue(fields(number), once="push-1:release:refs/heads/main")

    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(enqueue, range(1, 20)))
    assert len(results) == 1
    assert len(queue.active()) == 1
    assert queue.last_number("release") == 1
    assert [row.number for row in queue.of_origin("push-1:")] == [1]
    assert queue.of_origin("push-10:") == ()


def test_status_and_times(queue):
    one, _ = queue.enqueue(fields(1))
    queue.set_status(one, "InProgress", started_at="2026-01-01T00:00:01+00:00")
    queue.set_status(one, "Failed", ended_at="2026-01-01T00:00:02+00:00")
    assert queue.active() == ()
    assert queue.get(one).started_at == "2026-01-01T00:00:01+00:00"
    queue.set_status(one, "InProgress")  # a retry
    assert (queue.get(one).started_at, queue.get(one).ended_at) == ("2026-01-01T00:00:01+00:00", None)
    assert [row.id for row in queue.active()] == [one]


def test_a_plan_is_kept_as_it_is(queue):
    one, _ = queue.enqueue(fields(1))
    assert queue.plan(one) is None
    queue.set_plan(one, b"\x00plan")
    assert queue.plan(one) == b"\x00plan"


def test_unpublished_until_the_notes_have_all_events(database, queue):
    one, _ = queue.enqueue(fields(1))
    journal = Journal(database)
    assert queue.unpublished() == ()
    journal.append(one, 0, "t", [b"1", b"2"])
    assert [row.id for row in queue.unpublished()] == [one]
    queue.mark_published(one, 1)
    assert [row.published_seq for row in queue.unpublished()] == [1]
    queue.mark_published(one, 2)
    queue.mark_published(one, 1)
    assert queue.unpublished() == ()


def test_what_runs_cannot_be_removed(database, queue):
    one, _ = queue.enqueue(fields(1))
    Journal(database).append(one, 0, "t", [b"1"])
    assert Outbox(database).is_first("message", one)
    queue.remove(one)
    assert queue.get(one) is not None
    assert not Outbox(database).is_first("message", one)
    queue.set_status(one, "Succeeded", ended_at="t")
    queue.remove(one)
    assert queue.get(one) is None
    assert Journal(database).read(one) == ()
    assert Outbox(database).is_first("message", one), "nothing of it is kept"


def test_ten_thousand_are_paged_by_the_indexes(database, queue):
    with database.transaction():
        for number in range(1, 10_001):
            one, _ = queue.enqueue(fields(number, pipeline=f"p{number % 3}"))
            if number % 1000:
                queue.set_status(one, "Succeeded", ended_at="t")
    first = queue.history(pipeline="p1", limit=20)
    second = queue.history(pipeline="p1", limit=20, before=first[-1].id)
    assert [row.number for row in (*first, *second)] == list(range(3334, 3294, -1))
    assert len(queue.active()) == 10
    assert queue.by_number("p2", 3000).id == f"{8999:026}"
    assert [row.id for row in queue.history(status="Queued", limit=3)] == [f"{number * 1000:026}" for number in (10, 9, 8)]
    for statement in ("status IN ('Queued', 'InProgress', 'Stopping')", "published_seq < last_seq", "commit_id = 'x'"):
        (*_, plan) = database.rows(f"EXPLAIN QUERY PLAN SELECT id FROM executions WHERE {statement} ORDER BY id")[0]
        assert "USING" in plan
        assert "INDEX" in plan
