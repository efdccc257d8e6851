"""What attempts may start, and what they may not: other refs, other repositories, themselves."""

import pytest
from msgspec.structs import replace

from agent.errors import AgentError, EnvironmentFault, RefusedError
from agent.settings import Repository
from agent.worker import children
from tests.support.attempts import using
from tests.support.neighbours import SITE, Neighbourhood


@pytest.fixture
def near(tmp_path):
    found = Neighbourhood(tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """One in which nothing is ever started."""
    found = Neighbourhood(tmp_path_factory.mktemp("calm"))
    yield found
    found.close()


def start(near, pipeline="site", *, repository="", branch="", variables=None, ref="refs/heads/main", **more):
    made = using("pipeline", {}, ref=ref)
    attempt = replace(made, execution=replace(made.execution, commit=near.head, **more))
    return near.bench.pipelines(attempt, repository, pipeline).start(branch, variables or {}, attempt.id)


@pytest.mark.parametrize(("asked", "why"), [
    ({"pipeline": "other"}, "has no pipeline other"),
    ({"branch": "nowhere"}, "there is no refs/heads/nowhere"),
    ({"variables": {"target": "moon"}}, "target"),
    ({"branch": "main", "ref": "refs/heads/topic"}, "not protected"),
    ({"repository": "infra", "ref": "refs/heads/topic"}, "not protected"),
    ({"repository": "infra", "pipeline": "release"}, "release of repository infra is not open"),
    ({"repository": "secret"}, "site of repository secret is not open to stage test of release"),
    ({"pipeline": "release"}, "release would start itself again: release -> release"),
    ({"parents": tuple(f"/srv/{one}.git x" for one in range(9))}, "10 pipelines have started one another"),
])  # fmt: skip
def test_what_is_refused(calm, asked, why):
    with pytest.raises(AgentError, match=why):
        start(calm, **asked)
    assert not calm.rows(calm.ours)
    assert not calm.rows(calm.infra)


def test_a_circle_through_another_repository(near):
    led = (f"{near.infra.bare} site",)
    with pytest.raises(RefusedError, match="site -> release -> site"):
        start(near, repository="infra", parents=led)
    assert start(near, parents=led).label == "site #1"  # the same name, in another repository


def test_no_more_than_the_repository_can_bear(near, monkeypatch):
    monkeypatch.setattr(children, "MOST", 1)
    assert start(near).number == 1
    with pytest.raises(RefusedError, match=r"1 executions of repo\.git are not over"):
        near.bench.pipelines(using("pipeline", {}), "", "site").start("main", {}, "another attempt")
    assert start(near).number == 1  # the same attempt gets the same


def test_an_unprotected_ref_starts_what_is_its_own(near):
    near.ours.branch("topic")
    near.ours.commit_and_push({".pipeline/site.yaml": SITE, "x": "y"}, "x", "topic")
    assert start(near, ref="refs/heads/topic").label == "site #1"
    (row,) = near.rows(near.ours)
    assert (row.ref, row.commit) == ("refs/heads/topic", near.head)


def test_a_branch_is_run_at_its_head(near):
    former = near.head
    near.ours.commit_and_push({"x": "y"})
    made = using("pipeline", {})
    attempt = replace(made, execution=replace(made.execution, commit=former))
    near.bench.pipelines(attempt, "", "site").start("main", {}, attempt.id)
    assert [row.commit for row in near.rows(near.ours)] == [near.head]


def test_a_repository_without_the_agent(near, tmp_path):
    near.bench.config = near.bench.config.model_copy(update={"repositories": {"bare": Repository(path=str(tmp_path))}})
    with pytest.raises(EnvironmentFault, match="the agent is not installed"):
        start(near, repository="bare")
