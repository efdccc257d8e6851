"""Plans are made of what the push was judged by."""

from datetime import UTC, datetime

import pytest

from agent.errors import RefusedError
from agent.model.execution import Execution, TriggerType
from agent.state.database import open_database
from agent.state.queue import Queue
from agent.worker.planning import Planner
from tests.support.installed import BAD, GOOD
from tests.support.repo import Repo

WITH_BUILDSPEC = "stages: [{name: s, actions: [{name: a, image: x, buildspec: true}]}]\n"
SPEC = "version: 0.2\nphases: {build: {commands: [make {}]}}\n"


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


@pytest.fixture
def planner(repo, tmp_path):
    return Planner(repo.server, Queue(open_database(str(tmp_path / "state.db"))))


def execution(repo, commit=""):
    now, commit = datetime.now(UTC), commit or repo.head
    facts = {"id": "e", "pipeline": "release", "number": 1, "ref": "refs/heads/main", "trigger": TriggerType.PUSH}
    return Execution(**facts, commit=commit, created_at=now)


def test_a_plan_has_the_buildspec_of_its_commit(repo, planner):
    one = repo.commit_and_push({".pipeline/release.yaml": WITH_BUILDSPEC, "buildspec.yml": SPEC.replace("{}", "one")})
    two = repo.commit_and_push({"buildspec.yml": SPEC.replace("{}", "two")})
    for commit, word in ((one, "make one"), (two, "make two"), (one, "make one")):
        assert word in planner.plan(execution(repo, commit)).stages[0].actions[0].work.script


def test_a_tree_is_read_once(repo, planner, monkeypatch):
    one = repo.commit_and_push({".pipeline/release.yaml": GOOD})
    two = repo.commit_and_push({"other": "x"})
    plan = planner.plan(execution(repo, one))
    monkeypatch.setattr("agent.definition.load.load", None)
    assert planner.plan(execution(repo, two)) == plan


def test_nothing_broken_is_planned(repo, planner):
    repo.commit_and_push({".pipeline/release.yaml": GOOD, ".pipeline/other.yaml": BAD})
    with pytest.raises(RefusedError, match="are wrong:\n\\.pipeline/other\\.yaml:5:9"):
        planner.plan(execution(repo))


def test_what_is_not_there(repo, planner):
    repo.commit_and_push({"a": "b"})
    with pytest.raises(RefusedError, match=r"has no \.pipeline directory"):
        planner.plan(execution(repo))
    repo.commit_and_push({".pipeline/other.yaml": GOOD})
    with pytest.raises(RefusedError, match="has no pipeline release"):
        planner.plan(execution(repo))
