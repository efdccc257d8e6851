"""`git pipeline disable`: with a real worker."""


def test_executions_wait_in_front_of_it(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy"))
    repo.let("build")
    repo.let("deploy")
    assert call("disable", "release", "deploy", "-m", "freeze", "--as", "bob") == (
        0,
        "the transition into release/deploy is closed\n",
        "",
    )
    code, out, _ = call("start", "release")
    assert code == 0  # it goes on, only not now
    assert "build  succeeded" in out
    assert repo.ran("deploy") == []
    assert repo.row().status == "InProgress"
    assert call("disable", "release", "deploy", "-m", "still freezing")[0] == 0


def test_names_that_are_not_there(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy"))
    code, _, err = call("disable", "relase", "deploy")
    assert (code, err) == (2, "git pipeline: there is no pipeline relase\nhint: did you mean 'release'?\n")
    code, _, err = call("disable", "release", "deplyo")
    assert (code, err) == (2, "git pipeline: pipeline release has no stage deplyo\nhint: did you mean 'deploy'?\n")
    code, _, err = call("disable", "release", "a\x1bb")
    assert (code, err) == (2, "git pipeline: pipeline release has no stage 'a\\x1bb'\nhint: there are: build, deploy\n")


def test_a_stage_of_another_branch_that_ran(repo, call):
    repo.commit_release(repo.stage("build"))
    repo.branch("side")
    repo.commit_release(repo.stage("other"))
    assert call("disable", "release", "other")[0] == 2
    repo.let("other")
    assert call("start", "release", "--ref", "side")[0] == 0
    assert call("disable", "release", "other")[0] == 0
