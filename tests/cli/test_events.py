"""`git pipeline events`: the journal as it stands, and as it grows."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.cli import events
from agent.execution.events import Event
from agent.state.database import open_database
from agent.state.journal import Journal
from agent.state.queue import Queue
from tests.support.published import Repositories
from tests.support.served import serve
from tests.support.tales import CASES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The state of a server with two executions that were never run there."""
    repositories = Repositories(tmp_path)
    monkeypatch.chdir(repositories.bare)
    serve(repositories.bare, *CASES["rollback"](), *CASES["conditions"]())
    return repositories.bare


@pytest.fixture
def database(served):
    opened = open_database(str(served / "pipeline" / "state.db"))
    yield opened
    opened.close()


def test_all_events_of_one(served, call):
    code, out, err = call("events", "release#2")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "2026-11-23 12:00:00  release #2  started  (automatic rollback of production to #40)",
        "2026-11-23 12:00:00  release #2  production  arrived",
        "2026-11-23 12:00:00  release #2  production  started",
        "2026-11-23 12:00:00  release #2  production/web  started",
        "2026-11-23 12:00:30  release #2  production/web  succeeded in 30s",
        "2026-11-23 12:00:30  release #2  production  succeeded in 30s",
        "2026-11-23 12:00:30  release #2  succeeded in 30s",
    ]


def test_every_event_is_a_line(served, call):
    for cases in CASES.values():
        for story in cases():
            (served / "pipeline" / "state.db").unlink()
            serve(served, story)
            code, out, err = call("events", story.execution.id)
            assert (code, err, len(out.splitlines())) == (0, "", len(story.events))
            assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \S+ #\d+  \S", line) for line in out.splitlines())


def test_the_last_ones_of_all(served, database, call):
    total = Journal(database).position()
    _, out, _ = call("events", "-n", "1000")
    whole = out.splitlines()
    assert len(whole) == total
    assert call("events", "-n", "3")[1].splitlines() == whole[-3:]
    assert call("events", "-n", "0") == (0, "", "")
    assert {line.split("  ")[1] for line in whole} == {"release #1", "release #2", "release #3"}


def test_json_is_what_was_journalled(served, database, call):
    _, out, _ = call("events", "release#2", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert [one["seq"] for one in told] == list(range(1, len(told) + 1))
    row = Queue(database).by_number("release", 2)
    assert {(one["execution"], one["pipeline"], one["number"]) for one in told} == {(row.id, "release", 2)}
    kept = [msgspec.json.decode(body, type=Event) for body in Journal(database).read(row.id)]
    assert [msgspec.convert(one["event"], Event) for one in told] == kept


def test_an_execution_that_is_not_there(served, call):
    code, _, err = call("events", "release#4")
    assert code == 2
    assert "did you mean release#3" in err


class Looks:
    """In the place of sleep: what happens between two looks."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def __call__(self, seconds):
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()


def follow(database, looks, execution="", limit=0):
    lines = []
    told = events.told(database, execution, limit, follows=True, as_json=False, sleep=looks)
    try:
        for line in told:
            lines.append(line.split("  ", 1)[1])
    except KeyboardInterrupt:
        lines.append("^C")
    return lines


def test_following_shows_each_once_and_pages(served, database, monkeypatch):
    monkeypatch.setattr(events, "PAGE", 2)
    journal = Journal(database)
    row = Queue(database).history(limit=1)[0]
    bodies = journal.read(row.id)
    looks = Looks(
        lambda: None,
        lambda: journal.append(row.id, len(bodies), "2026-11-23T13:00:00+00:00", bodies[:3]),
        lambda: None,
        lambda: journal.append(row.id, len(bodies) + 3, "2026-11-23T13:00:00+00:00", bodies[:1]),
    )
    former = follow(database, Looks(), limit=1000)[:-1]
    shown = follow(database, looks, limit=2)
    assert shown[:2] == former[-2:]
    assert len(shown) == 2 + 4 + 1
    assert shown[-1] == "^C"


def test_what_gc_removes_does_not_hide_what_comes(served, database):
    """SQLite gives the places of the youngest rows again once these are deleted."""
    journal, queue = Journal(database), Queue(database)
    youngest = queue.history(limit=1)[0]
    other = queue.history(limit=10)[-1]
    bodies = journal.read(other.id)

    def collect():
        queue.set_status(youngest.id, "Failed")
        queue.remove(youngest.id)

    looks = Looks(collect, lambda: journal.append(other.id, len(bodies), "2026-11-23T13:00:00+00:00", bodies[:1]))
    assert len(follow(database, looks)) == 1 + 1


def test_following_one_ends_with_it(repo, call):
    repo.commit_release(repo.stage("build"))
    call("start", "release", "--detach")
    repo.wait_until_runs("build")
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "events", "-f", "1"],
        cwd=repo.bare,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert "started on main" in process.stdout.readline()
        repo.let("build")
        rest = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == 0
    assert re.search(r"release #1  succeeded in ", rest[-1])


def test_ctrl_c_ends_following_all(repo, call):
    repo.commit_release(repo.stage("build"))
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "events", "-f"],
        cwd=repo.bare,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        call("start", "release", "--detach")
        assert "release #1  started" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1].strip() == ""
    assert process.returncode == 130
