"""Reading files from commits, from `.pipeline` trees and from directories: the three agree, and none follows a link."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.definition.source import DIRECTORY, SUBMODULE, SYMLINK
from agent.errors import EnvironmentFault
from agent.git.tree import AT_ONCE, CommitTree, DirectoryTree, definition_trees, listing
from tests.support.repo import Refused, Repo

FILES = {
    ".pipeline/release.yaml": "stages: []\n",
    ".pipeline/nightly.yaml": "stages: [x]\n",
    ".pipeline/actions/lint.yaml": "run: lint\n",
    ".pipeline/big.bin": b"\0" * (AT_ONCE + 1),
    "src/app.py": "print()\n",
    "run.sh": "#!/bin/sh\n",
}


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


@pytest.fixture(params=["commit", "directory"])
def tree(request, repo):
    repo.write(FILES)
    (repo.clone / "run.sh").chmod(0o755)
    (repo.clone / ".pipeline/link.yaml").symlink_to("/etc/passwd")
    (repo.clone / ".pipeline/away").symlink_to("../src")
    commit = repo.commit()
    repo.push()
    if request.param == "commit":
        return CommitTree(repo.server, commit)
    return DirectoryTree(repo.clone)


def test_entries_with_modes_and_sizes(tree):
    entries = {entry.name: (entry.mode, entry.size) for entry in tree.entries(".pipeline")}
    assert list(entries) == ["actions", "away", "big.bin", "link.yaml", "nightly.yaml", "release.yaml"]
    assert entries["actions"] == (DIRECTORY, 0)
    assert entries["release.yaml"] == (0o100644, 11)
    assert entries["link.yaml"][0] == entries["away"][0] == SYMLINK
    assert [entry.name for entry in tree.entries(".pipeline/actions")] == ["lint.yaml"]
    assert ".pipeline" in {entry.name for entry in tree.entries("")}


def test_files_are_read_and_nothing_else(tree):
    assert tree.read(".pipeline/release.yaml") == b"stages: []\n"
    assert tree.read(".pipeline/nightly.yaml") == b"stages: [x]\n"
    assert tree.read(".pipeline/actions/lint.yaml") == b"run: lint\n"
    assert len(tree.read(".pipeline/big.bin")) == AT_ONCE + 1
    for path in (
        ".pipeline/link.yaml",
        ".pipeline/away/app.py",
        ".pipeline/actions",
        ".pipeline/none.yaml",
        "none/x",
        ".pipeline",
    ):
        with pytest.raises(KeyError):
            tree.read(path)


def test_what_is_no_directory_has_no_entries(tree):
    assert tree.entries("none") == tree.entries(".pipeline/away") == tree.entries(".pipeline/release.yaml") == ()


@pytest.mark.parametrize("kind", ["commit", "directory"])
def test_files_outside_of_the_definition(repo, kind):
    repo.write(FILES)
    (repo.clone / "run.sh").chmod(0o755)
    commit = repo.commit_and_push({})
    tree = CommitTree(repo.server, commit) if kind == "commit" else DirectoryTree(repo.clone)
    assert [entry.name for entry in tree.entries("")] == [".pipeline", "run.sh", "src"]
    assert tree.entries("")[1].mode == 0o100755
    assert tree.read("src/app.py") == b"print()\n"


def test_a_repository_inside_a_directory_is_a_submodule(repo):
    repo.git("init", "-q", "lib")
    assert [(entry.name, entry.mode) for entry in DirectoryTree(repo.clone).entries("")] == [("lib", SUBMODULE)]


def test_pipes_are_not_opened(repo):
    os.mkfifo(repo.clone / "pipe")
    tree = DirectoryTree(repo.clone)
    assert tree.entries("") == ()
    with pytest.raises(KeyError):
        tree.read("pipe")


def test_a_directory_that_is_not_there():
    assert DirectoryTree("/nonexistent").entries("") == ()


def test_a_commit_that_is_not_there(repo):
    with pytest.raises(EnvironmentFault, match="ls-tree failed"):
        CommitTree(repo.server, "1" * 40).entries("")


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_definition_trees_of_many_commits_at_once(tmp_path, object_format):
    repo = Repo(tmp_path, object_format=object_format)
    bare = repo.commit({"a": "1"})
    first = repo.commit({".pipeline/p.yaml": "1", ".pipelines": "not ours"})
    same = repo.commit({"a": "2"})
    tag = repo.tag("v1", message="one")
    blob = repo.git("rev-parse", "HEAD:a")
    repo.push("main", "v1")
    found = definition_trees(repo.server, [bare, first, same, tag, blob, "1" * len(first), first])
    tree = repo.git("rev-parse", f"{first}:.pipeline")
    assert found == {bare: "", first: tree, same: tree, tag: tree, blob: "", "1" * len(first): ""}


def test_no_commits_ask_nothing(repo):
    assert definition_trees(repo.server, []) == {}


@pytest.mark.parametrize("mode", [0o100644, SYMLINK, SUBMODULE])
def test_a_definition_that_is_no_directory(repo, mode):
    oid = repo.commit({"a": "1"}) if mode == SUBMODULE else repo.git("hash-object", "-w", "--stdin", stdin=b"/etc")
    repo.git("update-index", "--add", "--cacheinfo", f"{mode:o},{oid},.pipeline")
    repo.git("commit", "-q", "-m", "odd")
    repo.push()
    found = definition_trees(repo.server, [repo.head])[repo.head]
    assert found == f"{mode:o} {oid}"
    tree = CommitTree(repo.server, repo.head)
    assert [entry.mode for entry in tree.entries("") if entry.name == ".pipeline"] == [mode]
    assert tree.entries(".pipeline") == ()


def test_a_listing_changes_with_the_files(repo):
    paths = ["buildspec.yml", "ci/build.yml"]
    told = []
    for files in ({"other": "1"}, {"buildspec.yml": "1"}, {"ci/build.yml": "1"}, {"other": "2"}, {"buildspec.yml": "2"}):
        repo.commit_and_push(files)
        told.append(listing(repo.server, repo.head, paths))
    assert told[0] == b""
    assert told[2] == told[3]
    assert len(set(told)) == 4


HOOK = """\
#!{python}
import os, sys
sys.path.insert(0, {source!r})
from agent.git.command import Git, clean_environment, git_dir_of
from agent.git.tree import CommitTree, definition_trees
new = sys.stdin.readline().split()[1]
for quarantine in (False, True):
    git = Git(git_dir_of(os.environ), clean_environment(os.environ, quarantine=quarantine))
    tree = definition_trees(git, [new])[new]
    print(quarantine, CommitTree(git, new).read(".pipeline/p.yaml") if tree else None)
print(git.call("update-ref", "refs/notes/x", new)[2].decode())
sys.exit(1)
"""


def test_lesson_1_6_a_hook_reads_what_is_not_accepted_yet_and_cannot_move_refs(repo):
    source = str(Path(__file__).parents[2])
    repo.hook("pre-receive", HOOK.format(python=sys.executable, source=source))
    repo.commit({".pipeline/p.yaml": "new"})
    with pytest.raises(Refused) as refused:
        repo.push()
    said = str(refused.value)
    assert "remote: False None" in said
    assert "remote: True b'new'" in said
    assert "ref updates forbidden inside quarantine" in said


def test_neighbours_are_read_by_one_process(repo, tmp_path):
    commit = repo.commit_and_push({f".pipeline/{number}.yaml": f"{number}" for number in range(30)})
    calls = tmp_path / "calls"
    real = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >>{calls}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    git = type(repo.server)(repo.bare, {**repo.server.environment, "PATH": str(fake.parent)})
    tree = CommitTree(git, commit)
    assert [tree.read(f".pipeline/{number}.yaml") for number in range(30)] == [b"%d" % number for number in range(30)]
    assert len(calls.read_text().splitlines()) == 3
