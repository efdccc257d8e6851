"""`git pipeline worker`: in the foreground, and for all repositories."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.admin.timer import TICKED
from agent.state.database import open_database
from agent.state.marks import Marks
from tests.support.working import Working

ROOT = Path(__file__).parents[2]
MINUTELY = 'triggers: [{schedule: {cron: "* * * * *", timezone: UTC, branch: main}}]\n'


def looked(repo, ago):
    """As if somebody had last looked then."""
    database = open_database(str(repo.directory / "state.db"))
    Marks(database).put(TICKED, (datetime.now(UTC) - ago).isoformat())
    database.close()


def test_it_works_until_nothing_is_left(repo, call):
    repo.hurry()
    repo.commit_release(repo.stage("build"))
    repo.let("build")
    call("disable", "release", "build")
    call("start", "release")
    repo.kill_worker()
    database = open_database(str(repo.directory / "state.db"))
    database.write("DELETE FROM transitions")
    database.close()
    done = subprocess.run(
        [sys.executable, "-m", "agent", "worker", str(repo.bare)],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert repo.row().status == "Succeeded"


def test_a_repository_or_all(repo, call):
    assert call("worker")[0] == 2
    assert call("worker", "--all", repo.bare)[0] == 2


def test_schedules_of_all_repositories_start(repo, call, tmp_path):
    other = Working(tmp_path / "other")
    (tmp_path / "other" / "repositories").unlink()
    with repo.registry.open("a") as registry:
        registry.write(f"{other.bare}\n")
    try:
        for one in (repo, other):
            one.commit_release(one.stage("build"), head=MINUTELY)
            looked(one, timedelta(minutes=5))
        code, out, err = call("worker", "--all")
        assert (code, err) == (0, "")
        for one in (repo, other):
            assert f"{one.bare}: release #1 queued by its schedule '* * * * *'" in out
            one.wait_until_runs("build")
            one.let("build")
            one.wait_for("Succeeded")
    finally:
        other.end()


def goes_on_after_a_kill(repo, call):
    repo.kill_worker()
    assert call("worker", "--all") == (0, f"{repo.bare}: worker started\n", "")
    repo.let("build")
    repo.wait_for("Succeeded")
    assert repo.ran("build") == ["1 1"]


def test_what_a_reboot_interrupted_goes_on(repo, call):
    repo.commit_release(repo.stage("build"))
    call("start", "release", "--detach")
    repo.wait_until_runs("build")
    goes_on_after_a_kill(repo, call)


def test_one_that_waits_for_people_is_left_in_peace(repo, call):
    """A worker that is idle costs next to nothing, and a timer must not make it a worker again each minute."""
    repo.hurry()
    repo.commit_release("  - name: ask\n    actions: [{name: qa, approval: {by: [alice]}}]\n")
    assert call("start", "release")[0] == 0
    repo.wait(lambda: any("agent.worker.idle" in words(pid) for pid in repo.workers), "the worker is idle")
    [idle] = repo.workers
    assert call("worker", "--all") == (0, "", "")
    assert repo.workers == [idle]
    assert "agent.worker.idle" in words(idle)


def test_what_runs_holds_nothing_of_a_worker_that_was_idle(repo, call):
    """Lock and bell went through two exec; a process that got them too would keep the next worker out as long as it runs."""
    repo.hurry()
    ask = "triggers: []\nstages:\n  - name: ask\n    actions: [{name: qa, approval: {by: [alice]}}]\n"
    build = f"triggers: []\nstages:\n{repo.stage('build')}"
    repo.commit_and_push({".pipeline/ask.yaml": ask, ".pipeline/release.yaml": build})
    assert call("start", "ask")[0] == 0
    repo.wait(lambda: any("agent.worker.idle" in words(pid) for pid in repo.workers), "the worker is idle")
    call("start", "release", "--detach")
    repo.wait_until_runs("build")
    goes_on_after_a_kill(repo, call)


def words(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def test_a_repository_with_trouble_keeps_no_other_back(repo, call, tmp_path):
    repo.registry.write_text(f"{tmp_path / 'gone'}\n{repo.clone}\n{repo.bare}\n")
    repo.commit_release(repo.stage("build"), head=MINUTELY)
    looked(repo, timedelta(minutes=5))
    code, out, err = call("worker", "--all")
    assert code == 3
    assert f"{tmp_path / 'gone'}: it is gone" in err
    assert f"{repo.clone}: the agent is not installed there" in err
    assert "release #1 queued" in out


def test_the_units_are_printed_and_nothing_is_written(repo, call, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call("install", "--systemd")
    assert code == 0
    assert out.startswith("# /etc/systemd/system/git-pipeline.service\n[Unit]\n")
    assert "# /etc/systemd/system/git-pipeline.timer\n" in out
    assert f"GIT_PIPELINE_REPOSITORIES={repo.registry}" in out
    assert "systemctl enable --now git-pipeline.timer" in err
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/etc/systemd/system/git-pipeline.service").exists()
