"""`git pipeline override`: with a real worker."""

import pytest

from tests.support.working import Working

CLOSED = "conditions: {before_entry: {rules: [{variable: {value: a, equals: b}}]}}"


@pytest.fixture
def closed(repo: Working, call):
    return repo


def test_nothing_to_override(repo, call):
    repo.commit_release(repo.stage("build"))
    repo.let("build", 1)
    call("start", "release")
    code, _, err = call("override", "1")
    assert code == 1
    assert "release #1 has no stage with a condition to override\nhint: its stages: build Failed" in err
    code, _, err = call("override", "1", "build")
    assert (code, err) == (1, "git pipeline: no condition of stage build has failed or is being evaluated\n")
