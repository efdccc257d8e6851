"""Approvals and control by signed tags, end to end: real keys, real pushes, a real worker, notes at the end."""

from datetime import UTC, datetime

import pytest

from agent.worker.intake import PATIENCE
from tests.support.repo import Refused
from tests.support.steered import Steered


@pytest.fixture
def repo(tmp_path, keys):
    made = Steered(tmp_path, keys)
    yield made
    made.end()


def test_approve(repo):
    """The pusher reads whom it waits for, and the approver how it goes on."""
    repo.let("production")
    said = repo.released(repo.stage("sign-off", repo.asked()), repo.stage("production"))
    assert "waits for approval by qa-lead" in said
    assert "git tag -s approve/release/1/sign-off/$USER" in said
    said = repo.told("approve/release/1/sign-off/alice", message="looks fine")
    lines = [line.removeprefix("remote: ").strip() for line in said.splitlines()]
    assert "git-pipeline: approved: release #1 sign-off; signed by alice" in lines
    assert "sign-off/qa  approved by alice: looks fine" in lines
    assert not any("waits for approval" in line for line in lines)  # of the feed, only what is new
    assert any(line.startswith("release #1  succeeded") for line in lines), lines
    repo.wait_for("Succeeded")
    repo.git("fetch", "-q", "origin", "refs/notes/*:refs/notes/*", "refs/tags/*:refs/tags/*")
    assert "approved by alice: looks fine" in repo.git("log", "-1", "--notes=pipeline")
    allowed = repo.root / "allowed"
    allowed.write_text(f"alice {repo.keys.public('alice')}\n")
    done = repo.run("-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-tag", "approve/release/1/sign-off/alice")
    assert b'Good "git" signature for alice' in done.stderr  # anybody can check it, with git alone
    with pytest.raises(Refused, match="decided"):
        repo.told("approve/release/1/sign-off/again", "carol")


def test_reject(repo):
    repo.released(repo.stage("sign-off", repo.asked()), repo.stage("production"))
    said = repo.told("reject/release/1/sign-off/alice", message="not today")
    assert "sign-off/qa  rejected by alice: not today" in said
    assert "release #1  failed" in said
    repo.wait_for("Failed")
    assert repo.ran("production") == []


def test_two_must_agree(repo):
    both = "approval: {by: [qa-lead], count: 2}"
    repo.let("production")
    repo.released(repo.stage("sign-off", repo.asked(both)), repo.stage("production"))
    said = repo.told("approve/release/1/sign-off/alice")
    assert "approved by alice: fine; more must agree" in said
    assert repo.row().status == "InProgress"
    said = repo.told("approve/release/1/sign-off/grace", "grace")
    assert "approved by grace: fine" in said
    assert "release #1  succeeded" in said


def test_lesson_1_21_a_retry_asks_again(repo):
    """The approval of the first run opens no gate in the second, and its tag cannot be used again."""
    repo.let("work", 1)
    work = repo.action("work", "needs: [qa]")
    repo.released(repo.stage("production", repo.asked(), work))
    repo.told("approve/release/1/production/alice")
    repo.wait_for("Failed")
    repo.let("work", 0)
    said = repo.told("retry/release/1/production/alice", message="again\n\nMode: all")
    assert "waits for approval by qa-lead" in said
    assert repo.ran("work") == ["1 1"]
    repo.git("update-ref", "-d", "refs/tags/approve/release/1/production/alice", at=repo.bare)
    with pytest.raises(Refused, match="accepted once"):
        repo.push("refs/tags/approve/release/1/production/alice")
    assert "succeeded" in repo.told("approve/release/1/production/second")
    assert repo.ran("work") == ["1 1", "1 2"]


def test_stop_and_abandon(repo):
    repo.commit({".pipeline/release.yaml": f"stages:\n{repo.stage('build')}"})
    repo.detached()
    repo.wait_until_runs("build")
    said = repo.told("stop/release/1/alice", message="wrong one\n\nAbandon: true")
    assert "asked to stop and to end what runs by alice: wrong one" in said
    repo.wait_for("Stopped")


def test_a_closed_door_and_a_rollback(repo):
    repo.let("build")
    repo.let("production")
    stages = (repo.stage("build"), repo.stage("production"))
    repo.released(*stages)
    repo.wait_for("Succeeded")
    said = repo.told("disable/release/production/freeze", message="the freeze")
    assert "asked to close the way into: release production; signed by alice" in said
    repo.commit({"a": "2"})
    repo.detached()
    repo.wait(lambda: "2 1" in repo.ran("build"), "build of #2")
    repo.told("enable/release/production/thaw")
    repo.wait_for("Succeeded", 2)
    said = repo.told("rollback/release/1/production/alice", at="HEAD~1", message="back")
    assert "release #3  started  (rollback of production to #1 by alice)" in said
    assert "release #3  succeeded" in said
    assert repo.ran("production")[-1].startswith("3 ")


def test_start(repo):
    repo.let("build")
    head = "triggers: []\nvariables: {where: {default: earth}}\n"
    repo.commit_release(repo.stage("build"), head=head)
    said = repo.told("start/release/alice", message="again\n\nVar: where=mars")
    assert "release #1  started  (started on main by alice)" in said
    assert "release #1  succeeded" in said
    assert '"where":"mars"' in repo.row().body.replace(" ", "")


def test_exactly_once_over_the_death_of_the_worker_and_of_post_receive(repo):
    repo.released(repo.stage("sign-off", repo.asked("approval: {by: [qa-lead], count: 2}")), repo.stage("production"))
    repo.kill_worker()
    hook = repo.bare / "hooks" / "post-receive"
    text = hook.read_text()
    hook.write_text(text.replace("#!/bin/sh\n", "#!/bin/sh\nkill -9 $$\n"))
    repo.told("approve/release/1/sign-off/alice")
    hook.write_text(text)
    with repo.intake(datetime.now(UTC) + PATIENCE) as intake:
        intake.settle()
    repo.let("production")
    assert "release #1  succeeded" in repo.told("approve/release/1/sign-off/grace", "grace")
    repo.git("fetch", "-q", "origin", "refs/notes/*:refs/notes/*")
    assert repo.git("log", "-1", "--notes=pipeline").count("approved by alice") == 1


def test_detached(repo):
    repo.let("production")
    repo.released(repo.stage("sign-off", repo.asked()), repo.stage("production"))
    repo.sign("approve/release/1/sign-off/alice", "HEAD")
    said = repo.tell("approve/release/1/sign-off/alice")
    assert "approved: release #1 sign-off" in said
    assert "production" not in said.split("signed by alice")[1].split("To ")[0]
    repo.wait_for("Succeeded")
