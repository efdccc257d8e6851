"""`git pipeline rollback`: with a real worker."""

import msgspec
import pytest

from agent.model.execution import Execution


@pytest.fixture
def two(repo, call):
    """Two executions of different commits, both through both stages."""
    repo.commits = [repo.commit_release(repo.stage("build"), repo.stage("deploy"))]
    repo.let("build")
    repo.let("deploy")
    assert call("start", "release")[0] == 0
    repo.commits.append(repo.commit_and_push({"a": "1"}))
    assert call("start", "release")[0] == 0
    return repo


def test_one_stage_runs_as_then(two, call):
    code, out, err = call("rollback", "release#1", "deploy", "--as", "bob")
    assert (code, out, err) == (0, "release #3 queued: runs stage deploy as release #1 did\n", "")
    two.wait_for("Succeeded", 3)
    assert two.ran("deploy") == ["1 1", "2 1", "3 1"]
    assert two.ran("build") == ["1 1", "2 1"]
    row = two.row(3)
    made = msgspec.json.decode(row.body, type=Execution)
    assert (made.commit, made.trigger, made.actor, made.rollback.target_number) == (two.commits[0], "rollback", "bob", 1)


def test_the_stage_has_to_be_named_where_several_succeeded(two, call):
    code, _, err = call("rollback", "1")
    assert code == 2
    assert err == "git pipeline: release #1 has several stages that succeeded\nhint: name one of build, deploy\n"


def test_what_cannot_be_a_target(two, call):
    two.let("deploy", 1)
    assert call("start", "release")[0] == 1
    code, _, err = call("rollback", "3", "deploy")
    assert code == 1
    assert err == "git pipeline: release #3 did not succeed in stage deploy: it is Failed there\nhint: choose one that did\n"
    two.let("deploy")
    assert call("rollback", "2", "deploy")[0] == 0
    two.wait_for("Succeeded", 4)
    code, _, err = call("rollback", "4")
    assert code == 1
    assert "release #4 is itself a rollback" in err


def test_after_a_rollback_the_failure_before_it_is_not_the_latest(two, call):
    two.let("deploy", 1)
    assert call("start", "release")[0] == 1
    two.let("deploy")
    assert call("rollback", "2", "deploy")[0] == 0
    two.wait_for("Succeeded", 4)
    code, _, err = call("retry", "3")
    assert code == 1
    assert "release #4 has come to stage deploy since" in err


def test_not_while_somebody_is_in_the_stage(two, call):
    two.hold("deploy")
    call("start", "release", "--detach")
    two.wait_until_runs("deploy", 3)
    code, _, err = call("rollback", "1", "deploy")
    assert (code, "release #3 is in stage deploy" in err) == (1, True)
