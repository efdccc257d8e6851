"""What a push is compared with, what changed, what commits say: before the refs move and after."""

import sys
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault
from agent.git.history import (
    base_of,
    changed_paths,
    commit_facts,
    commits,
    is_ancestor,
    paths_between,
    resolve,
    with_bases,
)
from agent.model.push import RefUpdate
from tests.support.repo import Repo

ZERO = "0" * 40

HOOK = """\
#!{python}
import os, sys
sys.path.insert(0, {source!r})
from agent.git.command import Git, clean_environment, git_dir_of
from agent.git.history import with_bases
from agent.git.receive import read_push
git = Git(git_dir_of(os.environ), clean_environment(os.environ, quarantine=True))
for update in with_bases(git, read_push(sys.stdin.buffer.read(), os.environ, "").updates):
    print("BASE", update.ref, update.old, update.new, update.base or "-")
"""


class Judged:
    """A repository whose pre-receive tells the bases of each push."""

    def __init__(self, root):
        self.repo = Repo(root)
        hook = HOOK.format(python=sys.executable, source=str(Path(__file__).parents[2]))
        self.repo.hook("pre-receive", hook)

    def push(self, *refspecs, force=False):
        """The updates as pre-receive saw them, checked to come out the same after the refs moved."""
        said = self.repo.push(*refspecs, force=force)
        words = [line.split("BASE ", 1)[1].split() for line in said.splitlines() if "BASE " in line]
        before = tuple(RefUpdate(old, new, ref, base.strip("-")) for ref, old, new, base in words)
        after = with_bases(self.repo.server, [update._replace(base="") for update in before])
        assert after == before
        return {update.ref.split("/", 2)[2]: update for update in before}


@pytest.fixture
def judged(tmp_path):
    return Judged(tmp_path)


@pytest.fixture
def repo(judged):
    return judged.repo


def test_the_first_push_has_no_base_and_changes_everything(judged, repo):
    repo.commit({"a": "1"})
    repo.commit({"b/c": "1"})
    update = judged.push()["main"]
    assert update.base == ""
    assert changed_paths(repo.server, update) == ("a", "b/c")


def test_a_moved_branch_is_compared_with_where_it_was(judged, repo):
    old = repo.commit_and_push({"a": "1", "b": "1"})
    repo.commit({"b": None, "c d/é\n": "1"})
    update = judged.push()["main"]
    assert update.base == old
    assert changed_paths(repo.server, update) == ("b", "c d/é\n")


def test_no_number_of_files_is_too_many(judged, repo):
    """CodePipeline looks at the first 100 (codepipeline.md 1.2); here the last of 1,200 is seen as well."""
    repo.commit_and_push({"a": "1"})
    names = tuple(f"d{number % 7}/f{number:04}" for number in range(1200))
    repo.commit(dict.fromkeys(names, "1"))
    assert changed_paths(repo.server, judged.push()["main"]) == tuple(sorted(names))


def test_both_names_of_a_renamed_file_changed(judged, repo):
    old = repo.commit({"a": "text " * 100})
    new = repo.commit({"a": None, "z": "text " * 100})
    repo.push()
    assert paths_between(repo.server, old, new) == ("a", "z")


def test_a_merge_is_compared_tree_with_tree(judged, repo):
    repo.commit_and_push({"a": "1"})
    repo.branch("side")
    repo.commit({"side": "1"})
    repo.git("checkout", "-q", "main")
    repo.commit({"main": "1"})
    judged.push("main")
    repo.git("merge", "-q", "--no-edit", "side")
    update = judged.push("main")["main"]
    assert changed_paths(repo.server, update) == ("side",)


def test_a_forced_push_is_compared_with_what_ran_last(judged, repo):
    repo.commit_and_push({"a": "1"})
    old = repo.commit_and_push({"f2": "1"})
    repo.git("reset", "-q", "--hard", "HEAD~1")
    repo.commit({"f3": "1"})
    update = judged.push(force=True)["main"]
    assert update.base == old
    assert changed_paths(repo.server, update) == ("f2", "f3")


def test_a_new_branch_starts_where_its_commits_begin(judged, repo):
    start = repo.commit_and_push({"a": "1"})
    repo.branch("feature")
    repo.commit({"b": "1"})
    repo.commit({"c": "1"})
    update = judged.push()["feature"]
    assert update.base == start
    assert changed_paths(repo.server, update) == ("b", "c")


def test_a_new_branch_that_merged_main_starts_at_the_newer_main(judged, repo):
    repo.commit_and_push({"a": "1"})
    repo.branch("feature")
    repo.commit({"b": "1"})
    repo.git("checkout", "-q", "main")
    newer = repo.commit_and_push({"main": "1"})
    repo.git("checkout", "-q", "feature")
    repo.git("merge", "-q", "--no-edit", "main")
    repo.commit({"c": "1"})
    update = judged.push("feature")["feature"]
    assert update.base == newer
    assert changed_paths(repo.server, update) == ("b", "c")


def test_two_new_branches_with_the_same_commits(judged, repo):
    start = repo.commit_and_push({"a": "1"})
    repo.commit({"b": "1"})
    found = judged.push("HEAD:refs/heads/one", "HEAD:refs/heads/two")
    assert found["one"].base == found["two"].base == start


def test_a_new_branch_on_commits_that_main_brings_in_the_same_push(judged, repo):
    start = repo.commit_and_push({"a": "1"})
    repo.commit({"b": "1"})
    found = judged.push("HEAD:refs/heads/main", "HEAD:refs/heads/two")
    assert found["main"].base == found["two"].base == start


def test_a_new_branch_without_new_commits_starts_at_its_merge_base_with_the_default_branch(judged, repo):
    start = repo.commit_and_push({"a": "1"})
    repo.branch("side")
    repo.commit_and_push({"side": "1"})
    repo.git("checkout", "-q", "main")
    repo.commit_and_push({"b": "1"})
    copy = judged.push("side:refs/heads/copy")["copy"]
    assert copy.base == start
    assert changed_paths(repo.server, copy) == ("side",)
    older = judged.push("main:refs/heads/older")["older"]
    assert changed_paths(repo.server, older) == ()


def test_a_branch_with_its_own_root_has_no_base(judged, repo):
    repo.commit_and_push({"a": "1"})
    repo.orphan("pages")
    repo.commit({"index.html": "1"})
    update = judged.push("pages")["pages"]
    assert update.base == ""
    assert changed_paths(repo.server, update) == ("index.html",)


def test_tags_and_deletions_have_no_base(judged, repo):
    commit = repo.commit_and_push({"a": "1"}, "m", "HEAD:refs/heads/main", "HEAD:refs/heads/old")
    tag = repo.tag("v1", message="one")
    found = judged.push("v1", ":refs/heads/old")
    assert found["v1"].base == found["old"].base == ""
    assert commits(repo.server, [tag])[tag].id == commit


def test_base_of_one_among_the_updates_of_a_push(judged, repo):
    start = repo.commit_and_push({"a": "1"})
    repo.commit({"b": "1"})
    found = list(judged.push("HEAD:refs/heads/one", "HEAD:refs/heads/two").values())
    assert base_of(repo.server, found[0], found) == start


def test_a_push_of_hundreds_of_branches(judged, repo):
    start = repo.commit_and_push({"a": "1"})
    tips = []
    for number in range(5):
        repo.branch(f"b{number}", "main")
        tips.append(repo.commit({f"f{number}": "1"}))
    found = judged.push(*[f"{tips[number % 5]}:refs/heads/many/{number}" for number in range(400)])
    assert {update.base for update in found.values()} == {start}
    assert len(found) == 400


def test_an_old_commit_that_is_gone_cannot_be_compared(repo):
    new = repo.commit_and_push({"a": "1"})
    assert changed_paths(repo.server, RefUpdate("1" * 40, new, "refs/heads/main", "1" * 40)) is None


def test_what_a_commit_says(repo):
    first = repo.commit({"a": "1"})
    second = repo.commit({"a": "2"}, "Fix é\n\nBecause.", author="Zoë Z <zoe@example.com>")
    repo.push()
    facts = commit_facts(repo.server, second)
    assert (facts.author, facts.email, facts.subject) == ("Zoë Z", "zoe@example.com", "Fix é")
    assert facts.message == "Fix é\n\nBecause.\n"
    assert facts.parents == (first,)
    assert facts.tree == repo.git("rev-parse", "HEAD^{tree}")
    assert facts.authored_at == 1_700_000_120


def test_an_old_encoding_is_read_and_an_unknown_one_does_not_hurt(repo):
    repo.write({"a": "1"})
    repo.git("add", "-A")
    for encoding, message in (("ISO-8859-1", "Gr\u00fc\u00dfe"), ("no-such-code", "Gr\ufffd\ufffde")):
        config = ("-c", f"i18n.commitEncoding={encoding}")
        repo.git(*config, "commit", "-q", "--allow-empty", "-F", "-", stdin="Grüße".encode("latin-1"))
        repo.push()
        assert commit_facts(repo.server, repo.head).subject == message


def test_a_broken_author_line_does_not_hurt(repo):
    tree = repo.git("write-tree")
    raw = f"tree {tree}\nauthor nobody\n\nhello".encode()
    oid = repo.git("hash-object", "-t", "commit", "--literally", "-w", "--stdin", at=repo.bare, stdin=raw)
    facts = commit_facts(repo.server, oid)
    assert (facts.author, facts.email, facts.authored_at, facts.message) == ("nobody", "", 0, "hello")


def test_many_commits_at_once_and_what_is_none(repo):
    first, second = repo.commit({"a": "1"}, "one"), repo.commit({"a": "2"}, "two")
    blob = repo.git("rev-parse", "HEAD:a")
    repo.push()
    found = commits(repo.server, [second, blob, "1" * 40, first, "no such name"])
    assert {name: facts.subject for name, facts in found.items()} == {second: "two", first: "one"}
    with pytest.raises(EnvironmentFault, match="has no commit"):
        commit_facts(repo.server, blob)


def test_ancestors(repo):
    first, second = repo.commit({"a": "1"}), repo.commit({"a": "2"})
    repo.push()
    assert is_ancestor(repo.server, first, second)
    assert is_ancestor(repo.server, first, first)
    assert not is_ancestor(repo.server, second, first)
    with pytest.raises(EnvironmentFault, match="cannot compare"):
        is_ancestor(repo.server, "1" * 40, first)


def test_revisions(repo):
    first, second = repo.commit({"a": "1"}), repo.commit({"a": "2"})
    repo.tag("v1", message="one")
    repo.push("main", "v1")
    for revision in ("main", "refs/heads/main", "v1", second[:10], "HEAD"):
        assert resolve(repo.server, revision) == second
    assert resolve(repo.server, "main~1") == first
    for revision in ("nowhere", "main:a", "-x", "--all", ""):
        assert resolve(repo.server, revision) is None
