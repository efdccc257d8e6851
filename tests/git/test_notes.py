"""Notes: what git reads of them, many writers at once, killed writers, the shape of the tree."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault
from agent.git import notes as module
from agent.git.notes import Notes
from tests.support.repo import Repo

REF = "refs/notes/pipeline"
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SOURCE = str(Path(__file__).parents[2])


def oid(number, algorithm="sha1"):
    """An id of a commit that need not exist."""
    return hashlib.new(algorithm, b"%d" % number).hexdigest()


def to(text):
    return lambda _: text


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


@pytest.fixture
def notes(repo):
    with Notes(repo.bare) as opened:
        yield opened


def shape(repo):
    """The paths in the notes tree, by the number of slashes."""
    paths = repo.git("ls-tree", "-r", "--name-only", REF, at=repo.bare).splitlines()
    return {depth: sum(path.count("/") == depth for path in paths) for depth in {path.count("/") for path in paths}}


def listed(repo):
    return {line.split()[1] for line in repo.git("notes", f"--ref={REF}", "list", at=repo.bare).splitlines()}


def test_git_shows_what_was_written(repo, notes):
    commit = repo.commit_and_push({"a": "1"}, "Subject")
    assert notes.read(REF, commit) is None
    assert notes.edit(REF, {commit: to(b"release #1: Succeeded\n")}, "release #1", WHEN)
    assert repo.note(REF, commit) == b"release #1: Succeeded\n"
    assert notes.read(REF, commit) == b"release #1: Succeeded\n"
    assert notes.commits(REF) == (commit,)
    assert "release #1: Succeeded" in repo.git("log", f"--notes={REF}", "-1", "main", at=repo.bare)
    facts = repo.git("log", "-1", "--format=%an <%ae>|%cn|%ct|%s", REF, at=repo.bare)
    assert facts == f"git-pipeline <git-pipeline@localhost>|git-pipeline|{int(WHEN.timestamp())}|release #1"
    assert repo.fsck() == ""


def test_a_change_gets_the_old_note_and_can_remove_it(repo, notes):
    commit, other = oid(1), oid(2)
    notes.edit(REF, {commit: to(b"one\n"), other: to(b"other\n")}, "m", WHEN)
    notes.edit(REF, {commit: lambda old: old + b"two\n"}, "m", WHEN)
    assert repo.note(REF, commit) == b"one\ntwo\n"
    notes.edit(REF, {commit: to(None)}, "m", WHEN)
    assert repo.note(REF, commit) is None
    notes.edit(REF, {other: to(None)}, "m", WHEN)
    assert notes.commits(REF) == ()
    assert repo.git("rev-list", "--count", REF, at=repo.bare) == "4"
    assert repo.fsck() == ""


def test_a_change_that_changes_nothing_makes_no_commit(repo, notes):
    assert not notes.edit(REF, {oid(1): to(None)}, "m", WHEN)
    assert notes.edit(REF, {oid(1): to(b"x")}, "m", WHEN)
    assert not notes.edit(REF, {oid(1): to(b"x")}, "m", WHEN)
    assert repo.git("rev-list", "--count", REF, at=repo.bare) == "1"


def test_a_change_may_read_notes(repo, notes):
    notes.edit("refs/notes/record", {oid(1): to(b"fact")}, "m", WHEN)
    notes.edit(REF, {oid(1): lambda _: b"told: " + notes.read("refs/notes/record", oid(1))}, "m", WHEN)
    assert repo.note(REF, oid(1)) == b"told: fact"


def test_a_fault_in_a_change_is_not_dressed_up(notes):
    with pytest.raises(ZeroDivisionError):
        notes.edit(REF, {oid(1): lambda _: b"%d" % (1 // 0)}, "m", WHEN)
    assert notes.edit(REF, {oid(1): to(b"x")}, "m", WHEN)


def test_a_big_note(repo, notes):
    body = random.Random(1).randbytes(8 << 20)
    notes.edit(REF, {oid(1): to(body)}, "m", WHEN)
    assert notes.read(REF, oid(1)) == body
    assert repo.note(REF, oid(1)) == body


def test_a_repository_with_longer_ids(tmp_path):
    repo = Repo(tmp_path, object_format="sha256")
    commit = repo.commit_and_push({"a": "1"})
    with Notes(repo.bare) as notes:
        notes.edit(REF, {commit: to(b"one\n")}, "m", WHEN)
        notes.edit(REF, {oid(number, "sha256"): to(b"x%d" % number) for number in range(300)}, "m", WHEN)
        assert notes.read(REF, commit) == repo.note(REF, commit) == b"one\n"
        assert set(notes.commits(REF)) == listed(repo)
    assert repo.fsck() == ""


def test_committer_and_signature(repo):
    signed = []

    def sign(payload):
        signed.append(payload)
        return b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----"

    with Notes(repo.bare, "Bot <bot@example.com>", sign) as notes:
        notes.edit(REF, {oid(1): to(b"x")}, "m", WHEN)
    raw = repo.run("cat-file", "commit", REF, at=repo.bare).stdout
    before, _, rest = raw.partition(b"gpgsig ")
    assert b"BEGIN SSH SIGNATURE" in rest
    assert signed == [before + b"\n" + rest.partition(b"\n\n")[2]]
    assert b"committer Bot <bot@example.com> 1767323045 +0000\n" in raw
    assert repo.fsck() == ""


def test_the_tree_splits_once_and_stays_readable(repo, notes):
    notes.edit(REF, {oid(number): to(b"%d" % number) for number in range(256)}, "m", WHEN)
    assert shape(repo) == {0: 256}
    notes.edit(REF, {oid(256): to(b"256")}, "m", WHEN)
    assert shape(repo) == {1: 257}
    for number in range(257, 300):
        notes.edit(REF, {oid(number): to(b"%d" % number)}, "m", WHEN)
    assert shape(repo) == {1: 300}
    assert listed(repo) == set(notes.commits(REF)) == {oid(number) for number in range(300)}
    assert all(repo.note(REF, oid(number)) == b"%d" % number for number in (0, 255, 256, 299))
    assert repo.fsck() == ""


def test_a_full_directory_splits_alone(repo, notes):
    near = [f"ab{number:038x}" for number in range(100)] + [f"ab{number:02x}{number:036x}" for number in range(1, 201)]
    notes.edit(REF, {name: to(name.encode()) for name in [*near, *(oid(number) for number in range(300))]}, "m", WHEN)
    assert shape(repo) == {1: 300, 2: 300}
    assert listed(repo) == set(notes.commits(REF))
    assert all(notes.read(REF, name) == name.encode() for name in near)
    assert repo.fsck() == ""


def count_objects(repo):
    return int(repo.git("count-objects", at=repo.bare).split()[0])


@pytest.mark.parametrize(("present", "objects"), [(10, 3), (1_000, 4), (20_000, 5)])
def test_one_note_costs_the_objects_on_its_path(repo, notes, present, objects):
    fast_import(repo, present, objects - 3)
    notes.edit(REF, {oid(present): to(b"settle")}, "m", WHEN)
    before = count_objects(repo)
    for number in range(5):
        notes.edit(REF, {oid(present + 1 + number): to(b"new %d" % number)}, "m", WHEN)
    # A new directory of two digits is one tree more; nothing else may be written.
    assert count_objects(repo) - before <= 5 * objects
    assert len(notes.commits(REF)) == present + 6


def fast_import(repo, number, slashes):
    """Many notes at once, in a layout that git writes for as many: so many slashes in each path."""
    lines = [f"commit {REF}\ncommitter x <x@example.com> 1700000000 +0000\ndata 1\nm\n".encode()]
    lines += [f"M 644 inline {path(oid(index), slashes)}\ndata 1\nx\n".encode() for index in range(number)]
    repo.git("fast-import", "--quiet", "--force", at=repo.bare, stdin=b"".join(lines))


def path(name, slashes):
    return "/".join([name[2 * at : 2 * at + 2] for at in range(slashes)] + [name[2 * slashes :]])


@pytest.mark.parametrize(("present", "slashes"), [(60, 0), (300, 0), (300, 1), (1_000, 1), (1_000, 2)])
def test_notes_of_git_and_ours_in_one_tree(repo, notes, present, slashes):
    fast_import(repo, present, slashes)
    expected = {oid(number): b"x" for number in range(present)}
    for number in range(present, present + 20):
        expected[oid(number)] = b"ours %d" % number
        notes.edit(REF, {oid(number): to(expected[oid(number)])}, "m", WHEN)
        blob = repo.git("hash-object", "-w", "--stdin", at=repo.bare, stdin=b"theirs %d" % number)
        repo.git("notes", f"--ref={REF}", "add", "-C", blob, repo_commit(repo, number), at=repo.bare)
        expected[repo_commit(repo, number)] = b"theirs %d" % number
    assert set(notes.commits(REF)) == listed(repo) == set(expected)
    for name, body in random.Random(1).sample(sorted(expected.items()), 30):
        assert notes.read(REF, name) == body
        assert repo.note(REF, name) == body
    notes.edit(REF, {name: lambda old: old + b"!" for name in expected}, "m", WHEN)
    assert set(notes.commits(REF)) == listed(repo) == set(expected)
    assert all(notes.read(REF, name) == body + b"!" for name, body in expected.items())
    assert repo.fsck() == ""


def repo_commit(repo, number):
    """An object that `git notes add` accepts."""
    return repo.git("hash-object", "-w", "--stdin", at=repo.bare, stdin=b"object %d" % number)


def test_two_notes_for_one_commit_are_read_as_git_shows_them_and_become_one(repo, notes):
    name = oid(1)
    blobs = [repo.git("hash-object", "-w", "--stdin", at=repo.bare, stdin=body) for body in (b"flat\n", b"deep\n")]
    deep = repo.git("mktree", at=repo.bare, stdin=f"100644 blob {blobs[1]}\t{name[2:]}\n".encode())
    lines = f"100644 blob {blobs[0]}\t{name}\n040000 tree {deep}\t{name[:2]}\n"
    tree = repo.git("mktree", at=repo.bare, stdin=lines.encode())
    repo.git("update-ref", REF, repo.git("commit-tree", "-m", "m", tree, at=repo.bare), at=repo.bare)
    shown = repo.note(REF, name)
    assert sorted(notes.read(REF, name).split()) == sorted(shown.split()) == [b"deep", b"flat"]
    notes.edit(REF, {name: lambda old: old + b"more\n"}, "m", WHEN)
    assert repo.note(REF, name).endswith(b"more\n")
    assert shape(repo) == {1: 1}


def test_other_files_in_the_tree_are_left_alone(repo, notes):
    blob = repo.git("hash-object", "-w", "--stdin", at=repo.bare, stdin=b"hello")
    tree = repo.git("mktree", at=repo.bare, stdin=f"100644 blob {blob}\tREADME\n".encode())
    repo.git("update-ref", REF, repo.git("commit-tree", "-m", "m", tree, at=repo.bare), at=repo.bare)
    notes.edit(REF, {oid(number): to(b"x") for number in range(300)}, "m", WHEN)
    assert "README" in repo.git("ls-tree", "--name-only", REF, at=repo.bare).splitlines()
    assert len(notes.commits(REF)) == 300


WRITER = """\
import sys
sys.path.insert(0, {source!r})
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from agent.git.notes import Notes
who, times, git_dir = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
notes = Notes(git_dir)
for number in range(times):
    own, shared = sha1(f"{{who}} {{number}}".encode()).hexdigest(), sha1(b"shared").hexdigest()
    line = f"{{who}} {{number}}\\n".encode()
    changes = {{own: lambda old: line, shared: lambda old: (old or b"") + line}}
    notes.edit("refs/notes/pipeline", changes, "m", datetime.now(UTC))
    print(who, number, flush=True)
"""


def writer(repo, who, times):
    argv = [sys.executable, "-c", WRITER.format(source=SOURCE), who, str(times), str(repo.bare)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def test_many_writers_lose_nothing(repo, notes):
    writers = [writer(repo, who, 25) for who in "abcd"]
    stop = threading.Event()

    def disturb():
        for turn in count():
            if stop.is_set():
                return
            repo.run("pack-refs", "--all", "--prune", at=repo.bare, check=False)
            repo.run("notes", f"--ref={REF}", "list", at=repo.bare, check=False)
            if turn % 20 == 10:
                repo.run("gc", "-q", at=repo.bare, check=False)

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    said = [one.communicate(timeout=120)[0] for one in writers]
    stop.set()
    disturbing.join()
    assert [one.returncode for one in writers] == [0] * 4
    told = [line for text in said for line in text.splitlines()]
    assert len(told) == 100
    assert sorted(repo.note(REF, hashlib.sha1(b"shared").hexdigest()).decode().splitlines()) == sorted(told)
    assert len(listed(repo)) == 101
    assert repo.git("rev-list", "--count", REF, at=repo.bare) == "100"
    assert repo.fsck() == ""


def test_threads_of_one_process_lose_nothing(repo, notes):
    def add(who):
        for _ in range(10):
            notes.edit(REF, {oid(0): lambda old: (old or b"") + b"%d\n" % who}, "m", WHEN)

    threads = [threading.Thread(target=add, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notes.read(REF, oid(0)).splitlines()) == 40


def test_killed_writers_leave_nothing_in_the_way(repo, notes):
    dice, told = random.Random(7), []
    for turn in range(12):
        one = writer(repo, f"w{turn}", 1000)
        told += [one.stdout.readline().strip() for _ in range(dice.randrange(1, 12))]
        one.kill()
        told += one.communicate()[0].splitlines()
        age_locks(repo)
    notes.edit(REF, {oid(1): to(b"still works")}, "m", WHEN)
    shared = repo.note(REF, hashlib.sha1(b"shared").hexdigest()).decode().splitlines()
    assert set(told) <= set(shared)
    assert len(shared) == len(set(shared)) <= len(told) + 12
    assert repo.fsck() == ""
    assert not list((repo.bare / "objects").rglob("*.lock"))


def age_locks(repo):
    """As if the locks that a killed writer left were a minute old."""
    for lock in (repo.bare / "refs").rglob("*.lock"):
        os.utime(lock, (lock.stat().st_atime - 60, lock.stat().st_mtime - 60))


def test_a_stale_lock_is_broken_and_a_fresh_one_waited_for(repo, notes, monkeypatch):
    notes.edit(REF, {oid(1): to(b"x")}, "m", WHEN)
    lock = repo.bare / f"{REF}.lock"
    lock.write_text("")
    age_locks(repo)
    assert notes.edit(REF, {oid(1): to(b"y")}, "m", WHEN)
    lock.write_text("")
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with pytest.raises(EnvironmentFault, match=r"refs/notes/pipeline in .* is held by another process"):
        notes.edit(REF, {oid(1): to(b"z")}, "m", WHEN)
    assert lock.exists()
    assert notes.read(REF, oid(1)) == b"y"


def test_a_killed_writer_of_objects_does_not_block_the_same_object(repo, notes):
    blob = repo.git("hash-object", "--stdin", at=repo.bare, stdin=b"x")
    directory = repo.bare / "objects" / blob[:2]
    directory.mkdir()
    (directory / f"tmp_obj_{os.getpid()}_0").write_text("half")
    (directory / f"{blob[2:]}.lock").write_text("half")
    assert notes.edit(REF, {oid(1): to(b"x")}, "m", WHEN)
    assert repo.note(REF, oid(1)) == b"x"


def test_notes_survive_gc_and_a_long_open_reader(repo, notes):
    for number in range(20):
        notes.edit(REF, {oid(number): to(b"%d" % number)}, "m", WHEN)
    repo.git("gc", "-q", "--prune=now", at=repo.bare)
    with closing(Notes(repo.bare)) as other:
        other.edit(REF, {oid(20): to(b"20")}, "m", WHEN)
    repo.git("gc", "-q", "--prune=now", at=repo.bare)
    notes.edit(REF, {oid(21): to(b"21")}, "m", WHEN)
    assert [notes.read(REF, oid(number)) for number in range(22)] == [b"%d" % number for number in range(22)]


def test_shared_repositories_stay_writable_for_their_group(repo, notes):
    repo.git("config", "core.sharedRepository", "group", at=repo.bare)
    (repo.bare / "objects").chmod(0o2775)
    notes.edit(REF, {oid(1): to(b"x")}, "m", WHEN)
    fans = [path for path in (repo.bare / "objects").iterdir() if len(path.name) == 2]
    assert {path.stat().st_mode & 0o7777 for path in fans} == {0o2775}
    assert {file.stat().st_mode & 0o777 for path in fans for file in path.iterdir()} == {0o444}


def test_faults_are_told(repo, notes, tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot use refs/notes/pipeline"):
        Notes(tmp_path / "none").edit(REF, {oid(1): to(b"x")}, "m", WHEN)
    notes.edit(REF, {oid(1): to(b"x")}, "m", WHEN)
    tree = repo.git("rev-parse", f"{REF}^{{tree}}", at=repo.bare)
    (repo.bare / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(EnvironmentFault, match=f"object {tree} is missing"):
        notes.read(REF, oid(1))


def test_a_full_disk_leaves_the_notes_as_they_were(repo, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], capture_output=True).returncode:
        pytest.skip("needs root and tmpfs")
    try:
        tiny = Repo(small / "r")
        with Notes(tiny.bare) as notes:
            notes.edit(REF, {oid(1): to(b"kept")}, "m", WHEN)
            with pytest.raises(EnvironmentFault, match="No space left"):
                notes.edit(REF, {oid(2): to(random.Random(1).randbytes(2 << 20))}, "m", WHEN)
            assert not list(tiny.bare.rglob("tmp_obj_*"))
            assert notes.edit(REF, {oid(2): to(b"small")}, "m", WHEN)
            assert tiny.note(REF, oid(1)) == b"kept"
        assert tiny.fsck() == ""
    finally:
        subprocess.run(["umount", "-l", small], check=True)
