"""`git pipeline stop`: with a real worker and real processes."""


def test_what_runs_finishes_and_nothing_further_starts(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy"))
    call("start", "release", "--detach")
    repo.wait_until_runs("build")
    assert call("stop", "1", "-m", "wrong branch", "--as", "bob") == (
        0,
        "release #1 stops: running actions finish first\n",
        "",
    )
    assert repo.row().status == "Stopping"
    code, _, err = call("stop", "1")
    assert code == 1
    assert err.startswith("git pipeline: bob has stopped it already\nhint: ")
    repo.let("build")
    repo.wait_for("Stopped")
    assert repo.ran("deploy") == []
    assert "asked to stop by bob: wrong branch" in call("events", "1")[1]


def test_abandon_ends_what_runs_also_after_a_stop_that_waits(repo, call):
    repo.commit_release(repo.stage("build"))
    call("start", "release", "--detach")
    repo.wait_until_runs("build")
    assert call("stop", "1")[0] == 0
    assert call("stop", "1", "--abandon") == (0, "release #1 stops: what runs is being ended\n", "")
    repo.wait_for("Stopped")


def test_what_is_over_cannot_be_stopped(repo, call):
    repo.commit_release(repo.stage("build"))
    repo.let("build")
    call("start", "release")
    assert call("stop", "1") == (1, "", "git pipeline: it is over already: Succeeded\nhint: nothing is left to stop\n")


def test_one_that_waits_for_its_turn(repo, call):
    repo.commit_release(repo.stage("build"), head="triggers: []\nmode: queued\n")
    for _ in range(2):
        call("start", "release", "--detach")
    repo.wait_until_runs("build")
    assert call("stop", "2")[0] == 0
    repo.wait_for("Stopped", 2)
    repo.let("build")
    repo.wait_for("Succeeded")
    assert repo.ran("build") == ["1 1"]
