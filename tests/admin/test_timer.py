"""Once a minute: schedules start once, and only who is needed is woken or started."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from agent.admin.timer import start_due, tick
from agent.errors import EnvironmentFault
from agent.git.command import Git, clean_environment
from agent.model.execution import Execution
from agent.state.database import open_database
from agent.state.outbox import Outbox
from agent.state.queue import Queue
from agent.state.requests import Requests
from agent.worker import wake
from agent.worker.wiring import new_id
from tests.support.installed import GOOD, Installed

NIGHTLY = 'triggers: [{schedule: {cron: "0 3 * * *", timezone: UTC, branch: main}}]\n'
EVENING = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
NIGHT = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
NOBODY = "/nonexistent/python"  # a worker that is started here fails at once


@pytest.fixture
def repo(tmp_path):
    made = Installed(tmp_path)
    made.commit({".pipeline/nightly.yaml": NIGHTLY + GOOD})
    made.detached()
    wake.drain(made.wake)
    yield made
    made.close()


@pytest.fixture
def look(repo):
    """Looks for due schedules at a time; returns what was said."""
    database = open_database(str(repo.directory / "state.db"))
    git = Git(repo.bare, clean_environment(repo.environment))
    yield lambda now: list(start_due(git, database, now, new_id))
    database.close()


def ticked(repo, now, python=NOBODY):
    return list(tick(repo.bare, now, new_id, python, {"PATH": os.environ["PATH"]}))


def test_a_schedule_starts_once_at_its_time(repo, look):
    assert look(EVENING) == []
    assert look(NIGHT - timedelta(seconds=1)) == []
    assert look(NIGHT) == ["nightly #1 queued by its schedule '0 3 * * *'"]
    assert look(NIGHT) == []
    assert look(NIGHT + timedelta(minutes=1)) == []
    [row] = repo.executions
    made = msgspec.json.decode(row.body, type=Execution)
    assert (made.trigger, made.commit, made.ref, made.actor) == ("schedule", repo.head, "refs/heads/main", "the schedule")


def test_the_first_look_starts_nothing_of_the_past(look):
    assert look(NIGHT + timedelta(hours=1)) == []


def test_a_machine_that_was_off_for_days_makes_up_for_one(repo, look):
    look(EVENING)
    assert len(look(EVENING + timedelta(days=5))) == 1
    assert len(repo.executions) == 1


def test_a_clock_that_is_set_back_starts_nothing_twice(repo, look):
    look(EVENING)
    look(NIGHT + timedelta(minutes=5))
    assert look(EVENING) == []
    assert look(NIGHT + timedelta(minutes=10)) == []
    assert len(look(NIGHT + timedelta(days=1))) == 1


def test_the_head_of_its_branch_runs_and_only_its_own_word_counts(repo, look):
    look(EVENING)
    repo.branch("side")
    repo.commit({"a": "1"})
    repo.detached()
    repo.branch("main")
    head = repo.commit({"b": "1"})
    repo.detached()
    assert len(look(NIGHT)) == 1
    [row] = repo.executions
    assert (row.commit, row.ref) == (head, "refs/heads/main")


def test_a_schedule_that_is_taken_out_is_over(repo, look):
    look(EVENING)
    repo.commit({".pipeline/nightly.yaml": "triggers: []\n" + GOOD})
    repo.detached()
    assert look(NIGHT) == []


def test_broken_files_start_nothing_and_keep_no_other_branch_back(repo, look):
    """They came past the hooks."""
    look(EVENING)
    repo.branch("other")
    repo.commit({".pipeline/nightly.yaml": NIGHTLY.replace("main", "other") + GOOD})
    repo.detached()
    repo.branch("main")
    (repo.bare / "hooks" / "pre-receive").unlink()
    repo.commit({".pipeline/nightly.yaml": "stages: 3\n" + NIGHTLY})
    repo.detached()
    assert look(NIGHT) == ["nightly #1 queued by its schedule '0 3 * * *'"]
    assert [row.ref for row in repo.executions] == ["refs/heads/other"]


def test_two_timers_at_the_same_time_start_one(repo, look):
    look(EVENING)
    database = open_database(str(repo.directory / "state.db"))
    git = Git(repo.bare, clean_environment(repo.environment))
    both = [start_due(git, database, NIGHT, new_id) for _ in range(2)]
    said = [line for one in both for line in one]
    database.close()
    assert len(said) == len(repo.executions) == 1


def test_a_worker_that_listens_is_woken_for_what_is_new_only(repo):
    ticked(repo, EVENING)
    assert not wake.drain(repo.wake)
    ticked(repo, NIGHT)
    assert wake.drain(repo.wake)
    [row] = repo.executions
    database = open_database(str(repo.directory / "state.db"))
    database.write("UPDATE executions SET status = 'InProgress', last_seq = 3 WHERE id = ?", (row.id,))
    ticked(repo, NIGHT + timedelta(minutes=1))
    assert not wake.drain(repo.wake)  # it waits for people, or works: a minute is no news
    Requests(database).add("2026-03-02T03:02:00+00:00", "stop", "{}")
    database.close()
    ticked(repo, NIGHT + timedelta(minutes=2))
    assert wake.drain(repo.wake)


def test_a_worker_is_started_where_none_is_and_something_goes_on(repo):
    ticked(repo, EVENING)
    repo.close()
    assert ticked(repo, EVENING + timedelta(minutes=1)) == []
    with pytest.raises(EnvironmentFault, match="the worker does not start"):
        ticked(repo, NIGHT)
    assert ticked(repo, NIGHT, python="/bin/true") == ["worker started"]
    repo.wake = wake.listen(str(repo.directory))


def test_a_worker_is_started_for_what_was_not_told_yet(repo):
    database = open_database(str(repo.directory / "state.db"))
    for row in repo.executions:
        Queue(database).set_status(row.id, "Succeeded")
    assert ticked(repo, NIGHT) == []
    Outbox(database).add("webhook https://example.com", "nightly #1", "execution.succeeded", NIGHT.isoformat(), b"{}")
    database.close()
    assert ticked(repo, NIGHT) == [], "who listens looks after it"
    os.close(repo.wake)
    try:
        assert ticked(repo, NIGHT, python="/bin/true") == ["worker started"]
    finally:
        repo.wake = wake.listen(str(repo.directory))


def test_a_broken_configuration_is_told_and_what_is_in_flight_goes_on(repo):
    ticked(repo, EVENING)
    repo.close()
    (repo.directory / "config.toml").write_text("concurrency = 'many'\n")
    lines = ticked(repo, NIGHT, python="/bin/true")
    assert lines[-2].startswith("nothing new starts: ")
    assert "concurrency" in lines[-2]
    assert lines[-1] == "worker started"
    assert len(repo.executions) == 1
    repo.wake = wake.listen(str(repo.directory))


def test_repositories_that_are_gone_or_without_the_agent(repo, tmp_path):
    with pytest.raises(EnvironmentFault, match="it is gone"):
        list(tick(tmp_path / "gone", NIGHT, new_id, NOBODY, {}))
    with pytest.raises(EnvironmentFault, match="not installed"):
        list(tick(repo.clone, NIGHT, new_id, NOBODY, {}))


def test_no_file_stays_open(repo):
    """200 repositories are looked after by one process."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for minute in range(20):
        ticked(repo, EVENING + timedelta(minutes=minute))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
