"""`git pipeline retry`: with a real worker."""

import pytest


@pytest.fixture
def failed(repo, call):
    """An execution with one failed action in the first of two stages."""
    repo.commit_release(repo.stage("build", repo.action("good"), repo.action("bad")), repo.stage("deploy"))
    repo.let("good")
    repo.let("bad", 1)
    assert call("start", "release")[0] == 1
    repo.let("bad")
    repo.let("deploy")
    return repo


def test_the_failed_actions_run_again_in_the_same_execution(failed, call):
    assert call("retry", "release#1", "--as", "bob") == (0, "release #1: stage build runs the failed actions again\n", "")
    failed.wait_for("Succeeded")
    assert (failed.ran("good"), failed.ran("bad"), failed.ran("deploy")) == (["1 1"], ["1 1", "1 2"], ["1 1"])


def test_or_all_of_the_stage(failed, call):
    assert call("retry", "1", "build", "--mode", "all") == (0, "release #1: stage build runs all actions again\n", "")
    failed.wait_for("Succeeded")
    assert (failed.ran("good"), failed.ran("bad")) == (["1 1", "1 2"], ["1 1", "1 2"])


def test_while_others_still_run(repo, call):
    repo.commit_release(repo.stage("build", repo.action("slow"), repo.action("bad")))
    repo.let("bad", 1)
    call("start", "release", "--detach")
    repo.wait(lambda: "build/bad  failed" in call("events", "1")[1], "bad has failed")
    repo.let("bad")
    code, _, err = call("retry", "1", "--mode", "all")
    assert code == 1
    assert "slow still run" in err
    assert call("retry", "1")[0] == 0
    repo.wait_until_runs("bad", 2)
    repo.let("slow")
    repo.wait_for("Succeeded")
    assert repo.ran("slow") == ["1 1"]


def test_what_cannot_be_retried(failed, call):
    code, _, err = call("retry", "1", "depoly")
    assert (code, err) == (2, "git pipeline: release #1 has no stage depoly\nhint: did you mean 'deploy'?\n")
    code, _, err = call("retry", "1", "deploy")
    assert (code, err) == (1, "git pipeline: the execution has not reached stage deploy\n")
    call("retry", "1")
    failed.wait_for("Succeeded")
    code, _, err = call("retry", "1")
    assert code == 1
    assert "release #1 has no stage to retry\nhint: its stages: build Succeeded, deploy Succeeded" in err
    code, _, err = call("retry", "1", "build")
    assert (code, "stage build is Succeeded" in err) == (1, True)


def test_only_the_latest_of_a_stage_goes_on(failed, call):
    assert call("start", "release")[0] == 0
    code, _, err = call("retry", "1")
    assert code == 1
    assert "release #2 has come to stage build since" in err
