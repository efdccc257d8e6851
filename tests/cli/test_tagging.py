"""What a clone needs to steer: a label for its tags, and what the remote has."""

import os

import pytest

from agent.cli.tagging import label, seated
from agent.errors import EnvironmentFault, UsageError


@pytest.fixture
def repo(in_clone):
    return in_clone


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, "alice"),
        ({"pipeline.person": "Alice B."}, "Alice-B"),
        ({"user.email": "", "user.name": "Zoë Ünal"}, "Zo-nal"),
        ({"user.email": "---@x", "user.name": ""}, "me"),
    ],
)
def test_a_label_is_what_git_takes_in_a_ref(repo, settings, wanted):
    for key, value in settings.items():
        repo.git("config", key, value)
    assert label(seated(None).git) == wanted
    assert repo.run("check-ref-format", f"refs/tags/stop/release/1/{wanted}", check=False).returncode == 0


def test_what_a_branch_or_a_tag_of_the_remote_is_at(repo):
    first = repo.commit_and_push({"a": "1"})
    repo.tag("v1", message="one")
    repo.push("refs/tags/v1")
    repo.branch("side")
    second = repo.commit_and_push({"a": "2"})
    seat = seated(None)
    assert seat.head("") == ("refs/heads/main", first)
    assert seat.head("side") == ("refs/heads/side", second)
    assert seat.head("v1") == ("refs/tags/v1", first)
    assert seat.head("refs/heads/side") == ("refs/heads/side", second)
    with pytest.raises(UsageError, match="there is no branch or tag nothing on origin"):
        seat.head("nothing")


def test_a_remote_that_is_away(repo):
    repo.bare.rename(repo.root / "away.git")
    with pytest.raises(EnvironmentFault, match="cannot reach origin"):
        seated(None).head("")
    (repo.root / "away.git").rename(repo.bare)


def test_without_a_remote(repo):
    repo.git("remote", "remove", "origin")
    with pytest.raises(UsageError, match="has no remote to push a tag to"):
        seated(None)


def test_another_remote_by_name(repo):
    repo.git("remote", "add", "other", str(repo.bare))
    assert seated("other").remote == "other"
    assert "GIT_CONFIG_COUNT" not in os.environ
