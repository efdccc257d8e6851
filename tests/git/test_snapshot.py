"""A work tree as a commit elsewhere, with real git."""

import pytest

from agent.git.command import Git, clean_environment
from agent.git.snapshot import borrow, snapshot
from tests.support.repo import Repo


@pytest.fixture(params=["sha1", "sha256"])
def repo(request, tmp_path):
    made = Repo(tmp_path, object_format=request.param)
    made.commit({"a": "1", "sub/b": "2", ".gitignore": "ignored\n"}, "first")
    made.into = tmp_path / "into.git"
    made.ours = Git(made.clone / ".git", clean_environment(made.environment))
    borrow(made.into, made.ours)
    return made


def files(repo, commit):
    return repo.git("ls-tree", "-r", "--name-only", commit, at=repo.into).split()


def test_a_clean_work_tree_is_head_itself(repo):
    assert snapshot(repo.ours, repo.clone, repo.into) == repo.head


def test_changes_new_and_removed_files_and_not_what_is_ignored(repo):
    repo.write({"a": "changed", "new": "3", "ignored": "4", "sub/b": None})
    before = (repo.git("count-objects", "-v"), (repo.clone / ".git/index").read_bytes())
    commit = snapshot(repo.ours, repo.clone, repo.into)
    assert files(repo, commit) == [".gitignore", "a", "new"]
    assert repo.git("show", f"{commit}:a", at=repo.into) == "changed"
    assert repo.git("rev-parse", f"{commit}^", at=repo.into) == repo.head
    assert repo.git("log", "-1", "--format=%s", commit, at=repo.into) == "first"
    assert (repo.git("count-objects", "-v"), (repo.clone / ".git/index").read_bytes()) == before


def test_before_the_first_commit_and_without_a_name(tmp_path):
    fresh = Repo(tmp_path / "fresh")
    (fresh.home / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    fresh.write({"a": "1"})
    fresh.into = tmp_path / "into.git"
    ours = Git(fresh.clone / ".git", clean_environment(fresh.environment))
    borrow(fresh.into, ours)
    commit = snapshot(ours, fresh.clone, fresh.into)
    assert files(fresh, commit) == ["a"]


def test_what_is_borrowed_can_be_borrowed_again(repo):
    borrow(repo.into, repo.ours)
    assert repo.git("cat-file", "-t", repo.head, at=repo.into) == "commit"
