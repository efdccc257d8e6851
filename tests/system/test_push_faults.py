"""Pushes that are large, meet each other, meet a foreign owner, or lose those who follow: none is lost, none hangs."""

import os
import signal
import subprocess
import sys

import pytest

from agent.worker.spawn import start
from tests.support import system
from tests.support.faults import THOROUGH, one
from tests.support.repo import Refused
from tests.support.system import System
from tests.support.working import Working

MANY = 500 if THOROUGH else 20
NOBODY = 65534


def test_two_pushes_at_the_same_moment(made):
    made.commit({".pipeline/release.yaml": "mode: parallel\n" + one("echo fine")[".pipeline/release.yaml"]})
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


def test_ten_megabytes_of_yaml(made):
    """Refused with the reason, and what comes next is judged as always."""
    stages = "".join(f"  - {{name: s{number}, actions: [{{name: a, run: 'true'}}]}}\n" for number in range(250_000))
    made.commit({".pipeline/release.yaml": f"defaults: {{runner: local}}\nstages:\n{stages}"})
    with pytest.raises(Refused, match=r"release\.yaml") as caught:
        made.queued()
    assert "Traceback" not in str(caught.value)
    assert made.rows == ()
    made.commit(one("echo fine"))
    made.git("reset", "-q", "--soft", "HEAD~1")
    made.git("commit", "-q", "--amend", "-m", "a smaller one")
    made.queued()
    assert made.work() == 0
    assert [row.status for row in made.rows] == ["Succeeded"]


def owned_by(made: System, user: int) -> None:
    subprocess.run(["chown", "-R", f"{user}:{user}", made.bare], check=True)


def test_a_repository_of_somebody_else(made, as_root):
    """The push goes through, says who should work here, leaves nothing that locks the owner out, and is not forgotten."""
    made.commit(one("echo fine"))
    owned_by(made, NOBODY)
    made.git("config", "--global", "safe.directory", "*")
    said = made.queued()
    assert f"belongs to user {NOBODY}, and this is user 0" in said
    assert f"git pipeline resume {made.bare}" in said
    assert [path for path in made.directory.rglob("*") if path.stat().st_uid != NOBODY] == []
    owned_by(made, 0)
    assert made.rows == ()
    with made.intake() as intake:  # as `git pipeline resume` does
        intake.missed()
    assert made.work() == 0
    assert [row.status for row in made.rows] == ["Succeeded"]


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
