"""`git pipeline override`: with a real worker."""

CONDITION = 'conditions: {before_entry: {variable: {variable: "${{ variables.go }}", value: "yes"}}}'
HEAD = 'triggers: []\nvariables: {go: "no"}\n'


def test_a_stage_that_failed_by_its_condition_goes_on(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy", more=CONDITION), head=HEAD)
    repo.let("build")
    repo.let("deploy")
    assert call("start", "release")[0] == 1
    assert repo.ran("deploy") == []
    assert call("override", "1", "--as", "bob", "-m", "it is urgent") == (
        0,
        "release #1: stage deploy passes its condition\n",
        "",
    )
    repo.wait_for("Succeeded")
    assert repo.ran("deploy") == ["1 1"]
    assert "deploy  condition overridden by bob: it is urgent" in call("events", "1")[1]


def test_nothing_to_override(repo, call):
    repo.commit_release(repo.stage("build"))
    repo.let("build", 1)
    call("start", "release")
    code, _, err = call("override", "1")
    assert code == 1
    assert "release #1 has no stage with a condition to override\nhint: its stages: build Failed" in err
    code, _, err = call("override", "1", "build")
    assert (code, err) == (1, "git pipeline: no condition of stage build has failed or is being evaluated\n")
