"""Kept checkouts: right to the byte, shared, never changed while held, repaired after kill -9."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault
from agent.git.checkout import Checkouts
from tests.support.repo import Repo

SOURCE = str(Path(__file__).parents[2])


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


@pytest.fixture
def checkouts(repo):
    return opened(repo)


def opened(repo, **options):
    return Checkouts(str(repo.bare), repo.bare / "pipeline" / "checkouts", **options)


def files(tree):
    return {str(path.relative_to(tree)): path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}


def expected(repo, commit):
    names = repo.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0")[:-1]
    return {name: repo.run("show", f"{commit}:{name}").stdout for name in names}


def slots(repo):
    return sorted(path.name for path in (repo.bare / "pipeline" / "checkouts").iterdir() if path.name.isdecimal())


def test_the_tree_is_that_of_the_commit(repo, checkouts):
    repo.write({"a": "1", "d/b c": b"\0\xff", "run.sh": "#!/bin/sh\n", ".gitignore": "*.o\n"})
    (repo.clone / "run.sh").chmod(0o755)
    (repo.clone / "link").symlink_to("d/b c")
    (repo.clone / "abs").symlink_to("/etc/passwd")
    commit = repo.commit_and_push({})
    tree = checkouts.acquire(commit)
    assert files(tree).keys() == {"a", "abs", "d/b c", "run.sh", "link", ".gitignore"}
    assert (tree / "run.sh").stat().st_mode & 0o777 == 0o755
    assert os.readlink(tree / "abs") == "/etc/passwd"  # noqa: PTH115
    assert (tree / "d/b c").read_bytes() == b"\0\xff"
    assert not (tree / ".git").exists()


def test_a_slot_is_brought_up_to_date_by_what_differs(repo, checkouts):
    first = repo.commit_and_push({"a": "1", "gone/x": "1", "kept": "1", "dir": "file"})
    second = repo.commit_and_push({"a": "2", "gone/x": None, "dir": None, "new/y": "1"})
    third = repo.commit_and_push({"dir/z": "now a directory"})
    tree = checkouts.acquire(first)
    untouched = (tree / "kept").stat()
    checkouts.release(first)
    for commit in (second, third, first):
        assert checkouts.acquire(commit) == tree
        assert files(tree) == expected(repo, commit)
        checkouts.release(commit)
    assert (tree / "kept").stat().st_ino == untouched.st_ino
    assert (tree / "kept").stat().st_mtime_ns == untouched.st_mtime_ns
    assert slots(repo) == ["1"]


def test_what_somebody_changed_in_a_tree_is_put_right(repo, checkouts):
    first = repo.commit_and_push({"a": "11111", "b": "1", ".gitignore": "*.o\n"})
    second = repo.commit_and_push({"c": "1"})
    tree = checkouts.acquire(first)
    before = (tree / "a").stat()
    (tree / "a").write_text("22222")
    os.utime(tree / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tree / "b").unlink()
    (tree / "x.o").write_text("ignored")
    (tree / "junk/deep").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", tree / "junk/repo"], env=repo.environment, check=True)
    checkouts.release(first)
    assert files(checkouts.acquire(second)) == expected(repo, second)
    assert not (tree / "junk").exists()


def test_holders_of_one_commit_share_a_slot_and_others_get_their_own(repo, checkouts):
    first, second = repo.commit_and_push({"a": "1"}), repo.commit_and_push({"a": "2"})
    one = checkouts.acquire(first, "x")
    assert checkouts.acquire(first, "y") == checkouts.acquire(first, "x") == one
    checkouts.release(first, "x")
    two = checkouts.acquire(second, "z")
    assert two != one
    assert (files(one), files(two)) == ({"a": b"1"}, {"a": b"2"})
    checkouts.release(first, "y")
    checkouts.release(first, "y")
    assert checkouts.acquire(first, "later") == one


def test_the_slot_that_has_the_commit_is_preferred_then_the_last_used(repo, checkouts):
    commits = [repo.commit_and_push({"a": str(number)}) for number in range(4)]
    trees = [checkouts.acquire(commit) for commit in commits[:3]]
    for number in (0, 2, 1):
        checkouts.release(commits[number])
    assert checkouts.acquire(commits[0]) == trees[0]
    assert checkouts.acquire(commits[3]) == trees[1]


def test_slots_beyond_those_kept_go_when_they_are_free(repo):
    checkouts = opened(repo, kept=2)
    commits = [repo.commit_and_push({"a": str(number)}) for number in range(4)]
    trees = [checkouts.acquire(commit) for commit in commits]
    assert len(slots(repo)) == 4
    for commit in commits[:3]:
        checkouts.release(commit)
    assert slots(repo) == ["3", "4"]
    assert files(trees[3]) == {"a": b"3"}
    assert not list((repo.bare / "pipeline/checkouts").glob("gone-*"))


def test_a_commit_that_is_not_there_is_told_and_holds_nothing(repo, checkouts):
    commit = repo.commit_and_push({"a": "1"})
    with pytest.raises(EnvironmentFault, match=f"commit {'1' * 40} cannot be checked out"):
        checkouts.acquire("1" * 40)
    assert files(checkouts.acquire(commit)) == {"a": b"1"}
    assert slots(repo) == ["1"]
    with pytest.raises(ValueError, match="not the id of a commit"):
        checkouts.acquire("main")


def test_leases_outlive_a_worker(repo):
    first, second = repo.commit_and_push({"a": "1"}), repo.commit_and_push({"a": "2"})
    tree = opened(repo).acquire(first, "execution")
    again = opened(repo)
    assert again.acquire(second, "other") != tree
    assert again.acquire(first, "execution") == tree
    again.retain(frozenset({"execution"}))
    third = repo.commit_and_push({"a": "3"})
    assert again.acquire(third, "third") not in {tree}
    assert slots(repo) == ["1", "2"]
    assert files(tree) == {"a": b"1"}


def test_many_threads_get_what_they_asked_for(repo, checkouts):
    commits = [repo.commit_and_push({f"f{index}": str(number) for index in range(50)}) for number in range(3)]
    wrong = []

    def work(number):
        for turn in range(6):
            pick = (number + turn) % 3
            tree = checkouts.acquire(commits[pick], f"{number}.{turn}")
            if set(files(tree).values()) != {b"%d" % pick}:
                wrong.append((number, turn))
            checkouts.release(commits[pick], f"{number}.{turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


WORKER = """\
import sys
sys.path.insert(0, {source!r})
from pathlib import Path
from agent.git.checkout import Checkouts
checkouts = Checkouts({bare!r}, Path({bare!r}) / "pipeline" / "checkouts")
while True:
    for commit in sys.argv[1:]:
        checkouts.acquire(commit, "killed")
        print("got", flush=True)
        checkouts.release(commit, "killed")
"""


def test_a_killed_update_is_repaired(repo, checkouts):
    first = repo.commit({f"d{number % 20}/f{number}": f"one {number}" for number in range(1500)})
    second = repo.commit({f"d{number % 20}/f{number}": f"two {number}" if number % 3 else None for number in range(1500)})
    repo.push()
    script = WORKER.format(source=SOURCE, bare=str(repo.bare))
    marker = repo.bare / "pipeline/checkouts/1/commit"
    half = 0
    for turn in range(8):
        worker = subprocess.Popen([sys.executable, "-c", script, first, second], stdout=subprocess.PIPE, start_new_session=True)
        worker.stdout.readline()
        until = time.monotonic() + 10
        while marker.exists() and time.monotonic() < until:
            pass  # the moment in which it is being changed is what this test is about
        # Every other time git goes on alone; whoever comes next must wait for it.
        (os.killpg if turn % 2 else os.kill)(worker.pid, signal.SIGKILL)
        worker.communicate()
        half += not marker.exists()
        checkouts.retain(frozenset())
        commit = (first, second)[turn % 2]
        assert files(checkouts.acquire(commit)) == expected_fast(turn % 2)
        checkouts.release(commit)
    assert half
    assert slots(repo) == ["1"]


def expected_fast(second):
    kept = [number for number in range(1500) if not second or number % 3]
    return {f"d{number % 20}/f{number}": f"{'two' if second else 'one'} {number}".encode() for number in kept}


@pytest.mark.parametrize(
    "damage", ["lock", "index", "empty index", "no index", "marker of another boot", "empty files", "no tree"]
)
def test_damage_is_repaired(repo, checkouts, damage):
    first, second = repo.commit_and_push({"a": "1", "b": "1"}), repo.commit_and_push({"a": "2"})
    tree = checkouts.acquire(first)
    checkouts.release(first)
    home = tree.parent
    wanted = second
    if damage == "lock":
        (home / "index.lock").write_text("")
    elif damage == "index":
        (home / "index").write_bytes(b"DIRC nonsense" * 10)
    elif damage == "empty index":
        (home / "index").write_bytes(b"")
    elif damage == "no index":
        (home / "index").unlink()
    elif damage == "no tree":
        shutil.rmtree(tree)
        (home / "commit").unlink()
    else:
        wanted = first
        (home / "commit").write_text(f"{first} another-boot")
        if damage == "empty files":
            (tree / "a").write_text("")
    assert files(checkouts.acquire(wanted)) == expected(repo, wanted)


def test_attributes_hold_but_no_program_runs(repo, checkouts, tmp_path):
    attributes = "*.txt eol=crlf\n*.id ident\n*.ran filter=evil\nhidden export-ignore\n*.lfs filter=lfs\n"
    names = {"a.txt": "x\n", "b.id": "$Id$\n", "c.ran": "plain\n", "d.lfs": "version https://git-lfs\n", "hidden": "seen\n"}
    commit = repo.commit_and_push({".gitattributes": attributes, **names})
    for key in ("smudge", "process"):
        repo.git("config", f"filter.evil.{key}", f"touch {tmp_path}/ran; cat", at=repo.bare)
    repo.git("config", "filter.evil.required", "true", at=repo.bare)
    repo.git("config", "filter.lfs.process", "git-lfs filter-process", at=repo.bare)
    repo.git("config", "filter.lfs.required", "true", at=repo.bare)
    repo.git("config", "core.fsmonitor", f"touch {tmp_path}/ran", at=repo.bare)
    for name in ("post-checkout", "post-index-change"):
        repo.hook(name, f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    found = files(checkouts.acquire(commit))
    assert found["a.txt"] == b"x\r\n"
    assert found["b.id"].startswith(b"$Id: ")
    assert found["c.ran"] == b"plain\n"
    assert found["d.lfs"] == b"version https://git-lfs\n"
    assert found["hidden"] == b"seen\n"
    assert not (tmp_path / "ran").exists()


def test_a_submodule_is_an_empty_directory(repo, checkouts):
    oid = repo.commit({"a": "1"})
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{oid},lib")
    repo.git("commit", "-q", "-m", "sub")
    repo.push()
    tree = checkouts.acquire(repo.head)
    assert (tree / "lib").is_dir()
    assert not list((tree / "lib").iterdir())


def test_lesson_1_14_a_hostile_tree_is_refused(repo, checkouts):
    blob = repo.git("hash-object", "-w", "--stdin", at=repo.bare, stdin=b"x")
    inner = repo.git("mktree", at=repo.bare, stdin=f"100644 blob {blob}\tconfig\n".encode())
    raw = b"40000 .git\0" + bytes.fromhex(inner)
    tree = repo.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", at=repo.bare, stdin=raw)
    commit = repo.git("commit-tree", "-m", "m", tree, at=repo.bare)
    with pytest.raises(EnvironmentFault, match="invalid path"):
        checkouts.acquire(commit)
    assert not (repo.bare / "pipeline/checkouts/1/tree/.git").exists()


def test_a_link_of_one_commit_never_leads_the_next_astray(repo, checkouts, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (repo.clone / "d").symlink_to(outside)
    first = repo.commit_and_push({})
    (repo.clone / "d").unlink()
    second = repo.commit_and_push({"d/f": "1"})
    for commit in (first, second, first):
        checkouts.acquire(commit)
        checkouts.release(commit)
    assert [path.name for path in outside.iterdir()] == ["kept"]


def test_a_full_disk_is_told_and_repaired(repo, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", small], capture_output=True).returncode:
        pytest.skip("needs root and tmpfs")
    try:
        fits = repo.commit_and_push({"a": "1"})
        big = repo.commit_and_push({"big": os.urandom(4 << 20)})
        checkouts = Checkouts(str(repo.bare), small / "checkouts")
        checkouts.release(fits)
        with pytest.raises(EnvironmentFault, match="cannot be checked out"):
            checkouts.acquire(big)
        assert files(checkouts.acquire(fits)) == {"a": b"1"}
    finally:
        subprocess.run(["umount", "-l", small], check=True)
