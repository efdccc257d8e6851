"""`git pipeline resume`: after kill -9 of the worker, of a hook, and where nothing was told at all."""

import os

from agent.worker import wake
from tests.support.installed import GOOD

PUSHED = "triggers: [{push: {branches: [main]}}]\n"


def killed(repo, name, command):
    """Makes a hook die as by kill -9, at its start."""
    hook = repo.bare / "hooks" / name
    hook.write_text(hook.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{command}\n"))


def test_what_a_killed_worker_left_goes_on_and_nothing_runs_twice(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy"))
    call("start", "release", "--detach")
    repo.wait_until_runs("build")
    repo.kill_worker()
    code, out, err = call("resume", repo.bare)
    assert (code, err) == (0, "")
    first, flight, last = out.splitlines()
    assert (first, flight.split()) == ("in flight:", ["release", "#1", "InProgress", "main", repo.head[:8]])
    assert last == f"a worker was started; its log is {repo.directory / 'agent.log'}"
    repo.let("build")
    repo.let("deploy")
    repo.wait_for("Succeeded")
    assert (repo.ran("build"), repo.ran("deploy")) == (["1 1"], ["1 1"])


def test_a_push_whose_hook_was_killed_is_taken_in_once(repo, call):
    killed(repo, "post-receive", "kill -9 $$")
    repo.commit_release(repo.stage("build"), head=PUSHED)
    assert repo.executions == ()
    code, out, _ = call("resume")
    assert code == 0
    assert out.splitlines()[0] == "release #1 queued: a push to main had not been taken in"
    repo.wait_until_runs("build")
    again = call("resume")[1]
    assert "queued" not in again.lower().splitlines()[0]
    assert again.splitlines()[-1].startswith("the worker was woken")
    assert len(repo.executions) == 1


def test_a_push_that_no_hook_saw(repo, call):
    for name in ("pre-receive", "post-receive"):
        (repo.bare / "hooks" / name).rename(repo.root / name)
    repo.commit_release(repo.stage("build"), head=PUSHED)
    repo.let("build")
    code, out, _ = call("resume", "--follow")
    assert code == 0
    assert "release #1 queued" in out.splitlines()[0]
    assert any("release #1  succeeded" in line for line in out.splitlines())


def test_nothing_to_do(repo, call):
    repo.hurry()
    code, out, _ = call("resume", repo.bare)
    assert code == 0
    assert out.splitlines()[0] == "nothing is in flight"
    repo.wait(lambda: not wake.is_heard(str(repo.directory)), "the worker has left")


def test_what_waits_for_a_person_is_not_followed_for_ever(repo, call):
    repo.commit_release("  - name: ask\n    actions: [{name: qa, approval: {by: [alice]}}]\n")
    assert call("start", "release")[0] == 0
    code, out, _ = call("resume", "--follow")
    assert code == 0
    assert out.splitlines()[-1].startswith("the worker was woken")
    repo.kill_worker()
    code, out, _ = call("resume", "--follow")
    assert code == 0
    assert out.splitlines()[-1].startswith("a worker was started")


def test_following_shows_only_what_is_new_since_followers_left(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy"))
    repo.let("build")
    call("disable", "release", "deploy")
    assert "build  succeeded" in call("start", "release")[1]
    repo.kill_worker()
    repo.let("deploy")
    call("enable", "release", "deploy")
    repo.wait_for("Succeeded")
    repo.hold("deploy")
    call("retry", "1")  # refused: nothing failed
    out = call("resume", "--follow")[1]
    assert "build" not in out


def test_a_broken_configuration_is_told_after_the_pushes_are_kept(repo, call):
    killed(repo, "post-receive", "kill -9 $$")
    repo.commit_release(repo.stage("build"), head=PUSHED)
    repo.configure("concurrency = 0\n")
    code, out, _ = call("resume", repo.bare)
    assert code == 0
    assert "release #1 queued" in out
    assert "nothing new starts: " in out
    assert "concurrency" in out
    repo.wait(lambda: repo.feed() and not repo.workers, "the worker has said so and left")
    assert "it waits until the operator has mended the configuration" in repo.feed()
    assert repo.row().status == "Queued"
    repo.configure('[local]\nenabled = true\nlinger = "PT0.3S"\n'.replace("linger", "# linger"))
    assert call("resume", repo.bare)[0] == 0
    repo.wait_until_runs("build")


def test_as_often_as_one_likes_with_many_pushes(repo, call):
    killed(repo, "post-receive", "kill -9 $$")
    repo.commit({".pipeline/release.yaml": GOOD.replace("image: some/image", "runner: local")})
    for number in range(5):
        repo.push(f"HEAD:refs/heads/b{number}")
    for _ in range(2):
        assert call("resume", repo.bare)[0] == 0
    assert sorted(row.ref for row in repo.executions) == [f"refs/heads/b{number}" for number in range(5)]


def test_of_another_user(repo, call):
    if os.geteuid() == 0:
        os.chown(repo.directory, 12345, -1)
        code, _, err = call("resume", repo.bare)
        os.chown(repo.directory, 0, -1)
        assert (code, "belongs to user 12345" in err) == (1, True)
