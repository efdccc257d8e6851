"""Faults around a real worker: each has a clear outcome, and nothing that was accepted is lost or run twice."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.model.control import Start, Wish
from agent.state.database import open_database
from agent.state.requests import Requests
from agent.worker.spawn import start
from agent.workspaces.mounts import mounted, unmount
from tests.support import images, system
from tests.support.system import System
from tests.support.working import Working

LOCAL = "[local]\nenabled = true\n"
THOROUGH = bool(os.environ.get("GIT_PIPELINE_THOROUGH"))  # as `make crash` sets it
MUCH = 200 * 1000**2 if THOROUGH else 8 * 1000**2  # bytes
MANY = 500 if THOROUGH else 20
ACTION = "stages:\n  - name: only\n    actions:\n      - name: act\n        {runner}\n        run: |\n{script}"


def one(script: str, runner: str = "runner: local") -> dict[str, str]:
    """A pipeline with one action."""
    lines = "".join(f"          {line}\n" for line in script.splitlines())
    return {".pipeline/release.yaml": ACTION.format(runner=runner, script=lines)}


@pytest.fixture
def made(tmp_path):
    found = System(tmp_path / "repo", LOCAL)
    yield found
    found.end()
    for mount in list(mounted(tmp_path)):
        unmount(mount)


def record(made: System) -> dict:
    """The one record of the commit, and its one action."""
    (found,) = made.records(made.head)
    return found


def action(made: System) -> dict:
    return record(made)["stages"][0]["actions"][0]


def ran(made: System, script: str, runner: str = "runner: local") -> dict:
    """Push it, and work until it is over; what the record tells of the action."""
    made.commit(one(script, runner))
    made.queued()
    assert made.work() == 0, made.log
    assert list(system.leftovers(made)) == []
    return action(made)


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


def test_no_such_image(made, engine):
    found = ran(made, "echo never", 'image: "localhost:1/no/such:image"')
    assert (found["status"], found["reason"]) == ("Failed", "image")
    assert "localhost:1/no/such:image" in found["message"]


def test_the_engine_is_stopped(made):
    made.configure(f'[docker]\nhost = "unix://{made.root}/nobody.sock"\n')
    found = ran(made, "echo never", "image: some/image")
    assert (found["status"], found["reason"]) == ("Failed", "engine")
    assert "start it" in found["message"]


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


def fill(path: Path) -> None:
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize(
    ("place", "said"), [("pipeline", "the state cannot be written"), ("objects", "the notes cannot be written")]
)
def test_the_disk_is_full(made, as_root, place, said):
    """While journalling and logging, or while writing notes: it goes on when there is room again."""
    where = made.bare / place
    aside = made.bare / "aside"
    where.rename(aside)
    where.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", where], check=True)
    subprocess.run(["cp", "-a", f"{aside}/.", where], check=True)
    subprocess.run(["rm", "-r", aside], check=True)
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
    if place == "pipeline":  # where the exit code stands too: a script of which nobody knows how it ended is never run again
        assert (action(made)["status"], action(made)["reason"]) == ("Failed", "lost"), made.log
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


def test_two_pushes_at_the_same_moment(made):
    made.commit({".pipeline/release.yaml": "mode: parallel\n" + one("echo fine")[".pipeline/release.yaml"]})
    made.configure(LOCAL)
    pushes = []
    for name in ("a", "b", "c"):
        command = ["git", "push", "-q", "-o", "pipeline.detach", "origin", f"HEAD:refs/heads/{name}"]
        pushes.append(subprocess.Popen(command, cwd=made.clone, env=made.environment, stderr=subprocess.PIPE))
    for push in pushes:
        _, said = push.communicate(timeout=system.PATIENCE)
        assert push.returncode == 0, said
    made.until(lambda: [row.status for row in made.rows] == ["Succeeded"] * 3, "all three have run")
    assert sorted(row.ref for row in made.rows) == [f"refs/heads/{name}" for name in "abc"]
    made.until(lambda: len(made.records(made.head)) == 3, "the notes tell of all three")


def test_a_push_of_500_refs(made):
    made.commit(one("echo fine"))
    made.queued(*(f"HEAD:refs/heads/b{number}" for number in range(500)))
    assert [row.number for row in made.rows] == list(range(1, 501))


def test_many_executions_of_one_push(made):
    """The newest goes on, all others are superseded, and the notes tell of each."""
    made.commit(one("echo fine"))
    made.queued(*(f"HEAD:refs/heads/b{number}" for number in range(MANY)))
    assert made.work() == 0, made.log
    assert [row.status for row in made.rows] == ["Superseded"] * (MANY - 1) + ["Succeeded"]
    assert len(made.records(made.head)) == MANY
    assert list(system.leftovers(made)) == []


# --- while somebody follows -----------------------------------------------------------------------------------------------


@pytest.fixture
def followed(tmp_path):
    repo = Working(tmp_path / "repo")
    yield repo
    repo.end()


def follow(repo: Working) -> subprocess.Popen[bytes]:
    """A push that is followed, and whose action runs."""
    repo.commit({".pipeline/release.yaml": f"stages:\n{repo.stage('build')}"})
    command = ["git", "push", "origin", "HEAD"]
    push = subprocess.Popen(command, cwd=repo.clone, env=repo.environment, stderr=subprocess.PIPE, start_new_session=True)
    repo.wait_until_runs("build")
    return push


def test_ctrl_c_ends_the_following_only(followed):
    push = follow(followed)
    os.killpg(push.pid, signal.SIGINT)
    push.communicate(timeout=system.PATIENCE)
    followed.let("build")
    followed.wait_for("Succeeded")
    assert followed.ran("build") == ["1 1"]


def test_the_follower_says_what_to_run_when_the_worker_dies(followed):
    push = follow(followed)
    followed.kill_worker()
    _, said = push.communicate(timeout=system.PATIENCE)
    assert push.returncode == 0
    assert f"git pipeline resume {followed.bare}" in said.decode().replace("        \n", "\n")
    followed.let("build")
    start(str(followed.bare), sys.executable, followed.environment, str(followed.directory / "agent.log"))
    followed.wait_for("Succeeded")
    assert followed.ran("build") == ["1 1"]


def test_the_engine_restarts_in_mid_action(made, private_engine):
    """An engine with live-restore is killed and comes back, and the action has never noticed."""
    engine = private_engine(live_restore=True)
    image = images.busybox(engine.host)
    made.configure(f'[docker]\nhost = "{engine.host}"\n')
    script = "n=0; while [ $n -lt 40 ]; do echo line $n; n=$((n + 1)); sleep 0.1; done"
    made.commit(one(script, f'image: "{image}"'))
    made.queued()
    worker = made.worker()
    made.until(
        lambda: b"line 5\n" in b"".join(path.read_bytes() for path in made.directory.glob("executions/*/logs/*.log")), "it runs"
    )
    engine.end(signal.SIGKILL)
    engine.start()
    assert worker.wait(system.PATIENCE) == 0
    assert action(made)["status"] == "Succeeded", made.log
    log = made.note("pipeline-log", made.head).decode().splitlines()
    assert [line for line in log if line.startswith("line ")] == [f"line {number}" for number in range(40)]
