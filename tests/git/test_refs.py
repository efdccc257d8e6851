"""Refs: read, and moved only from where they are known to be."""

import pytest

from agent.errors import EnvironmentFault
from agent.git.refs import all_refs, default_branch, move, read_ref
from tests.support.repo import Repo

ZERO = "0" * 40


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


def test_refs_are_listed_with_what_they_point_at(repo):
    commit = repo.commit({"a": "1"})
    tag = repo.tag("v1", message="one")
    repo.push("main", "v1", "HEAD:refs/notes/x")
    assert all_refs(repo.server) == {"refs/heads/main": commit, "refs/tags/v1": tag}
    assert all_refs(repo.server, ["refs/notes"]) == {"refs/notes/x": commit}
    assert read_ref(repo.server, "refs/tags/v1") == tag
    assert read_ref(repo.server, "refs/tags/v2") is None
    assert default_branch(repo.server) == "refs/heads/main"


def test_a_ref_moves_only_from_where_it_is_known_to_be(repo):
    first, second = repo.commit({"a": "1"}), repo.commit({"a": "2"})
    repo.push()
    assert move(repo.server, "refs/heads/x", ZERO, first)
    assert not move(repo.server, "refs/heads/x", ZERO, second)
    assert not move(repo.server, "refs/heads/x", second, first)
    assert move(repo.server, "refs/heads/x", first, second)
    assert read_ref(repo.server, "refs/heads/x") == second
    assert move(repo.server, "refs/heads/x", second, ZERO)
    assert read_ref(repo.server, "refs/heads/x") is None


def test_a_fault_is_told_apart_from_a_lost_race(repo):
    repo.commit_and_push({"a": "1"})
    with pytest.raises(EnvironmentFault, match="cannot move refs/heads/y"):
        move(repo.server, "refs/heads/y", ZERO, "1" * 40)
