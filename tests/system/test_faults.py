"""Faults around a real worker: each has a clear outcome, and nothing that was accepted is lost or run twice."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.model.control import Start, Wish
from agent.state.database import open_database
from agent.state.requests import Requests
from tests.support import system
from tests.support.faults import LOCAL, THOROUGH, action, fill, one, ran, record, shrink
from tests.support.system import System

MUCH = (200 if THOROUGH else 8) * 1000**2  # bytes


def test_much_output_is_cut_and_says_so(made):
    made.configure(f"{LOCAL}[logs]\ndisk = 1048576\nnote = 65536\n")
    found = ran(made, f"yes 0123456789abcdef | head -c {MUCH}\necho\necho the end")
    assert found["status"] == "Succeeded"
    (log,) = made.directory.glob("executions/*/logs/*.log")
    assert log.stat().st_size < 1024**2 + 1000
    assert b"the log is cut here" in log.read_bytes()[-500:]
    assert len(made.note("pipeline-log", made.head)) < 65536 + 2000


def test_binary_output_does_no_harm(made):
    found = ran(made, r"""head -c 65536 /dev/urandom; printf '\033[2J\004\n\000\n'; echo; echo the end""")
    assert found["status"] == "Succeeded"
    assert b"\nthe end\n" in made.note("pipeline-log", made.head)
    feed = next(made.directory.glob("executions/*/feed")).read_bytes().split(b"\n")
    assert feed.count(b"\x04") == 1
    assert made.fsck() == ""


def test_who_stays_behind_is_ended(made):
    found = ran(made, "sleep 1000 &\nsetsid sleep 1000 &\n(setsid sh -c 'sleep 1000 & sleep 1000' &)\necho started")
    assert found["status"] == "Succeeded"


def test_a_timeout_ends_everything(made):
    script = 'trap "" TERM\nsetsid sleep 1000 &\necho waits\nwhile :; do sleep 1; done'
    found = ran(made, script, "runner: local\n        timeout: 2s")
    assert (found["status"], found["reason"]) == ("Failed", "timeout")
    assert b"waits\n" in made.note("pipeline-log", made.head)


def waiting(made: System, name: str = "gate") -> Path:
    """An execution whose action waits for a file; returns it. The worker is to be started."""
    gate = made.root / name
    script = f'echo "act $PIPELINE_ATTEMPT" >> {made.lines}\nuntil [ -e {gate} ]; do sleep 0.05; done\necho passed'
    made.commit(one(script))
    made.queued()
    return gate


def passed(made: System) -> None:
    """It went on to its end, and its action ran once."""
    assert record(made)["status"] == "Succeeded", made.log
    assert system.told(made.lines) == {"act 1": 1}
    assert b"passed\n" in made.note("pipeline-log", made.head)
    assert list(system.leftovers(made)) == []


@pytest.mark.parametrize(
    ("place", "said"), [("pipeline", "the state cannot be written"), ("objects", "the notes cannot be written")]
)
def test_the_disk_is_full(made, as_root, place, said):
    """While journalling and logging, or while writing notes: it goes on when there is room again."""
    where = made.bare / place
    shrink(where)
    gate = waiting(made)
    worker = made.worker(patience=0.3)
    made.until(lambda: system.told(made.lines), "the action runs")
    made.until(lambda: len(made.records(made.head)) == 1, "its start is published")
    filler = where / "filler"
    fill(filler)
    gate.touch()
    made.until(lambda: said in made.log, "the fault is told")
    filler.unlink()
    assert worker.wait(system.PATIENCE) == 0
    if place == "pipeline":  # the last bytes decide: it could not print, or nobody could write down how it ended, or both could
        ended = action(made)
        assert (ended["status"], ended.get("reason")) in {("Failed", "lost"), ("Failed", "exit"), ("Succeeded", None)}, made.log
        assert record(made)["status"] == ended["status"]
    else:
        assert record(made)["status"] == "Succeeded", made.log
    assert system.told(made.lines) == {"act 1": 1}
    assert made.fsck() == ""


def test_the_database_is_locked_for_a_while(made):
    gate = waiting(made)
    worker = made.worker(patience=0.3)
    made.until(lambda: system.told(made.lines), "the action runs")
    other = sqlite3.connect(made.directory / "state.db", isolation_level=None)
    try:
        made.until(lambda: _begun(other), "the lock is had")
        gate.touch()
        made.until(lambda: made.log.count("the state cannot be written") >= 2, "the fault is told")
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert worker.wait(system.PATIENCE) == 0
    passed(made)


def _begun(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


def test_the_clock_is_set_back(made):
    """By an hour, between a worker that is killed and the next one."""
    gate = waiting(made)
    worker = made.worker()
    made.until(lambda: system.told(made.lines), "the action runs")
    worker.kill()
    worker.wait()
    gate.touch()
    assert made.work(shift=-3600) == 0
    passed(made)


def test_the_commit_is_gone(made):
    """One that waits in the queue fails with words; the one behind it runs."""
    made.commit(one("echo never"))
    made.queued("HEAD:refs/heads/side")
    made.git("update-ref", "-d", "refs/heads/side", at=made.bare)
    made.orphan("other")
    made.commit({".pipeline/other.yaml": one("echo fine")[".pipeline/release.yaml"]})
    made.queued("HEAD:refs/heads/other")
    made.git("gc", "-q", "--prune=now", at=made.bare)
    assert made.work() == 0, made.log
    first, second = made.rows
    assert (first.status, second.status) == ("Failed", "Succeeded")
    end = made.events(first.id)[-1]
    assert "gone" in end.message
    assert made.records(first.commit)[0]["status"] == "Failed"


def test_a_commit_that_goes_while_it_runs(made):
    """The worker is killed meanwhile: what ran is told, and the failure is the execution's own."""
    gate = waiting(made)
    worker = made.worker()
    made.until(lambda: system.told(made.lines), "the action runs")
    worker.kill()
    worker.wait()
    commit = made.head
    made.git("update-ref", "-d", "refs/heads/main", at=made.bare)
    made.git("gc", "-q", "--prune=now", at=made.bare)
    gate.touch()
    assert made.work() == 0, made.log
    assert made.rows[0].status in {"Succeeded", "Failed"}
    assert [one["status"] for one in made.records(commit)] == [made.rows[0].status]
    assert system.told(made.lines) == {"act 1": 1}
    assert list(system.leftovers(made)) == []


def test_a_plan_that_cannot_be_made(made):
    made.commit(one("echo fine"))
    made.queued()
    database = open_database(str(made.directory / "state.db"))
    wish = Wish(demand=Start(pipeline="nobody", commit=made.head, ref="refs/heads/main"), by="alice")
    Requests(database).add(datetime.now(UTC).isoformat(), "start", msgspec.json.encode(wish).decode())
    database.close()
    assert made.work() == 0, made.log
    assert {row.pipeline: row.status for row in made.rows} == {"release": "Succeeded", "nobody": "Failed"}
    (failed,) = (row for row in made.rows if row.pipeline == "nobody")
    assert "has no pipeline nobody" in made.events(failed.id)[-1].message


def test_a_journal_that_nobody_can_read_holds_up_nobody(made):
    made.commit(one("echo one"))
    made.queued()
    database = open_database(str(made.directory / "state.db"))
    with database.transaction():
        database.write("UPDATE executions SET body = ?", (json.dumps({"id": made.rows[0].id}),))
    database.close()
    made.commit(one("echo two"))
    made.queued()
    assert made.work() == 0, made.log
    assert [row.status for row in made.rows] == ["Queued", "Succeeded"]
    assert "by a bug of ours" in made.log
