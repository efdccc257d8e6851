"""`git pipeline enable`: with a real worker."""


def test_what_waits_goes_on_at_once(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy"))
    repo.let("build")
    repo.let("deploy")
    call("disable", "release", "deploy")
    call("start", "release")
    assert call("enable", "release", "deploy") == (0, "the transition into release/deploy is open\n", "")
    repo.wait_for("Succeeded")
    assert repo.ran("deploy") == ["1 1"]


def test_while_the_worker_is_busy_elsewhere(repo, call):
    """The bell alone makes the loop look whether somebody may enter now."""
    repo.commit_release(repo.stage("build"), repo.stage("deploy"), head="triggers: []\nmode: parallel\n")
    call("disable", "release", "deploy")
    repo.let("build")
    call("start", "release")
    repo.hold("build")
    call("start", "release", "--detach")
    repo.wait_until_runs("build", 2)
    assert call("enable", "release", "deploy")[0] == 0
    repo.wait_until_runs("deploy")


def test_what_is_open_is_refused(repo, call):
    repo.commit_release(repo.stage("build"))
    assert call("enable", "release", "build") == (1, "", "git pipeline: the transition into release/build is open already\n")


def test_a_stage_that_is_gone_can_still_be_opened(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy"))
    assert call("disable", "release", "deploy")[0] == 0
    repo.commit_release(repo.stage("build"))
    code, _, err = call("enable", "release", "deploy")
    assert code == 0, err + repo.log
    assert call("enable", "release", "deploy")[0] == 2
