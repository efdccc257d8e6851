import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from agent.artifacts import cache
from agent.artifacts.cache import CacheStore, Claim
from agent.model.plan import Cache

PIP = Cache(paths=("~/.cache/pip", "node_modules"), key_files=("requirements.txt", "**/*.lock"))
LOOSE = Cache(paths=("~/.cache/pip",))
PROTECTED = cache.scope("refs/heads/main", protected=True)
BRANCH = cache.scope("refs/heads/topic", protected=False)


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def forward(self, **by):
        self.now += timedelta(**by)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    return CacheStore(tmp_path / "cache", clock)


@pytest.fixture
def workspace(tmp_path):
    place = tmp_path / "workspace"
    (place / "sub").mkdir(parents=True)
    (place / "requirements.txt").write_text("a==1")
    (place / "sub/yarn.lock").write_text("1")
    return place


def claim(store, clock, what, where, holder="h") -> Claim:
    return store.claim(holder, what, where, clock() + timedelta(hours=1))


def directory(tmp_path, name, content):
    place = tmp_path / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "file").write_text(content)
    return place


def kept(store, made, index=0):
    (layer,) = store.layers(made, index)
    return {file.name: file.read_text() for file in layer.iterdir()}


def fill(store, clock, tmp_path, what, where, content, holder="writer"):
    made = claim(store, clock, what, where, holder)
    count = len(PIP.paths)
    saved = store.save(made, [directory(tmp_path, f"made-{index}", content) for index in range(count)])
    store.release(holder)
    clock.forward(seconds=1)
    return saved


def test_the_key_is_made_of_the_key_files(workspace):
    first = cache.wanted(PIP, workspace, "docker python:3.12")
    assert cache.wanted(PIP, workspace, "docker python:3.12") == first
    (workspace / "other.txt").write_text("no key file")
    assert cache.wanted(PIP, workspace, "docker python:3.12") == first
    (workspace / "sub/yarn.lock").write_text("2")
    second = cache.wanted(PIP, workspace, "docker python:3.12")
    assert (second.family == first.family, second.key == first.key) == (True, False)
    (workspace / "sub/yarn.lock").rename(workspace / "sub/npm.lock")
    assert cache.wanted(PIP, workspace, "docker python:3.12").key != second.key


@pytest.mark.parametrize(
    "other",
    [
        (Cache(paths=("~/.cache/pip",), key_files=PIP.key_files), "p"),
        (Cache(paths=PIP.paths, key_files=PIP.key_files, key="v2"), "p"),
        (PIP, "q"),
    ],
)
def test_other_paths_another_key_or_place_is_another_family(workspace, other):
    assert cache.wanted(*[other[0], workspace], other[1]).family != cache.wanted(PIP, workspace, "p").family


def test_missing_key_files_are_told_and_links_not_followed(workspace, tmp_path):
    (tmp_path / "secret").write_text("1")
    (workspace / "requirements.txt").unlink()
    assert cache.wanted(PIP, workspace, "p").missing == ("requirements.txt",)
    (workspace / "requirements.txt").symlink_to(tmp_path / "secret")
    first = cache.wanted(PIP, workspace, "p")
    (tmp_path / "secret").write_text("2")
    assert cache.wanted(PIP, workspace, "p") == first


def test_nothing_kept_then_saved_then_found(store, clock, workspace, tmp_path):
    what = cache.wanted(PIP, workspace, "p")
    made = claim(store, clock, what, PROTECTED)
    assert (made.entry, made.exact, kept(store, made)) == ("", False, {})
    assert fill(store, clock, tmp_path, what, PROTECTED, "wheels")
    again = claim(store, clock, what, PROTECTED, "other")
    assert again.exact
    assert [kept(store, again, index) for index in (0, 1)] == [{"file": "wheels"}] * 2
    assert not fill(store, clock, tmp_path, what, PROTECTED, "changed")


def test_a_changed_key_gets_the_newest_of_the_family(store, clock, workspace, tmp_path):
    for number in (1, 2, 3):
        (workspace / "requirements.txt").write_text(f"a=={number}")
        assert fill(store, clock, tmp_path, cache.wanted(PIP, workspace, "p"), PROTECTED, f"v{number}")
    (workspace / "requirements.txt").write_text("a==9")
    made = claim(store, clock, cache.wanted(PIP, workspace, "p"), PROTECTED)
    assert (made.exact, kept(store, made)) == (False, {"file": "v3"})
    (workspace / "requirements.txt").write_text("a==1")
    made = claim(store, clock, cache.wanted(PIP, workspace, "p"), PROTECTED, "i")
    assert (made.exact, kept(store, made)) == (True, {"file": "v1"})


def test_an_unprotected_ref_reads_what_protected_ones_wrote_and_never_writes_it(store, clock, workspace, tmp_path):
    what = cache.wanted(PIP, workspace, "p")
    assert fill(store, clock, tmp_path, what, BRANCH, "poison")
    assert not claim(store, clock, what, PROTECTED).entry
    other = cache.scope("refs/heads/other", protected=False)
    assert not claim(store, clock, what, other, "o").entry
    store.release("h")
    assert fill(store, clock, tmp_path, what, PROTECTED, "good")
    assert kept(store, claim(store, clock, what, PROTECTED, "p")) == {"file": "good"}
    assert kept(store, claim(store, clock, what, other, "q")) == {"file": "good"}
    assert kept(store, claim(store, clock, what, BRANCH, "b")) == {"file": "poison"}
    (workspace / "requirements.txt").write_text("a==2")
    assert fill(store, clock, tmp_path, cache.wanted(PIP, workspace, "p"), other, "own")
    assert sorted(path.name for path in (tmp_path / "cache/protected").iterdir()) == [what.family]
    assert len(list((tmp_path / "cache/protected" / what.family).iterdir())) == 1


def test_a_holder_that_asks_again_gets_the_same(store, clock, workspace, tmp_path):
    what = cache.wanted(PIP, workspace, "p")
    first = claim(store, clock, what, PROTECTED)
    fill(store, clock, tmp_path, what, PROTECTED, "later")
    (workspace / "requirements.txt").write_text("the script wrote it")
    assert claim(store, clock, cache.wanted(PIP, workspace, "p"), PROTECTED) == first


def test_without_key_files_each_change_is_saved_and_the_former_goes(store, clock, workspace, tmp_path):
    what = cache.wanted(LOOSE, workspace, "p")
    for content, expected in (("one", True), ("two", True)):
        made = claim(store, clock, what, PROTECTED, content)
        assert store.save(made, [directory(tmp_path, "made", content)]) is expected
        store.release(content)
        clock.forward(seconds=1)
    made = claim(store, clock, what, PROTECTED)
    assert kept(store, made) == {"file": "two"}
    unchanged = directory(tmp_path, "made", "two")
    (layer,) = store.layers(made, 0)
    times = (layer / "file").stat().st_mtime_ns
    os.utime(unchanged / "file", ns=(times, times))
    assert not store.save(made, [unchanged])
    assert len(list((tmp_path / "cache/protected" / what.family).iterdir())) == 1


def test_a_version_in_use_by_another_job_stays(store, clock, workspace, tmp_path):
    what = cache.wanted(LOOSE, workspace, "p")
    store.save(claim(store, clock, what, PROTECTED, "first"), [directory(tmp_path, "made", "one")])
    store.release("first")
    reader = claim(store, clock, what, PROTECTED, "reader")
    clock.forward(seconds=1)
    writer = claim(store, clock, what, PROTECTED, "writer")
    assert store.save(writer, [directory(tmp_path, "made", "two")])
    assert kept(store, reader) == {"file": "one"}
    clock.forward(days=30)
    store.claim("reader-2", what, PROTECTED, clock() + timedelta(hours=1))
    gone = store.prune(timedelta(days=14), 10**9)
    assert len(gone) == 1
    assert kept(store, claim(store, clock, what, PROTECTED, "new")) == {"file": "two"}


def test_everything_of_a_directory_is_kept(store, clock, workspace, tmp_path):
    place = directory(tmp_path, "made", "x")
    (place / "empty/refs").mkdir(parents=True)
    (place / "tool").write_text("#!/bin/sh")
    (place / "tool").chmod(0o4750)
    (place / "link").symlink_to("/etc/passwd")
    os.mkfifo(place / "pipe")
    os.utime(place / "tool", ns=(5_000_000_001, 5_000_000_001))
    what = cache.wanted(LOOSE, workspace, "p")
    assert store.save(claim(store, clock, what, PROTECTED), [place])
    store.release("h")
    (layer,) = store.layers(claim(store, clock, what, PROTECTED), 0)
    assert (layer / "empty/refs").is_dir()
    assert ((layer / "tool").stat().st_mode & 0o7777, (layer / "tool").stat().st_mtime_ns) == (0o750, 5_000_000_001)
    assert os.path.lexists(layer / "link")
    assert (layer / "link").is_symlink()
    assert not os.path.lexists(layer / "pipe")


def test_prune_takes_the_old_then_the_least_recently_used(store, clock, workspace, tmp_path):
    wants = []
    for number in range(4):
        (workspace / "requirements.txt").write_text(str(number))
        wants.append(cache.wanted(PIP, workspace, "p"))
        fill(store, clock, tmp_path, wants[-1], PROTECTED, "x" * 500)
    clock.forward(days=10)
    for index in (0, 2, 3):
        claim(store, clock, wants[index], PROTECTED, "user")
        store.release("user")
        clock.forward(minutes=1)
    assert len(store.prune(timedelta(days=5), 10**9, dry_run=True)) == 1
    assert [one.path.name.partition(".")[0] for one in store.prune(timedelta(days=5), 10**9)] == [wants[1].key]
    gone = store.prune(timedelta(days=5), 2000)
    assert [one.path.name.partition(".")[0] for one in gone] == [wants[0].key]
    assert sum(one.size for one in gone) == 1000
    assert store.prune(timedelta(days=5), 2000) == ()


def test_prune_removes_what_a_killed_agent_left(store, clock, workspace, tmp_path):
    claim(store, clock, cache.wanted(PIP, workspace, "p"), PROTECTED, "dead")
    left = tmp_path / "cache/incoming/dead"
    (left / "0").mkdir(parents=True)
    os.utime(left, (clock().timestamp(), clock().timestamp()))
    store.prune(timedelta(days=14), 10**9)
    assert left.exists()
    clock.forward(days=2)
    store.prune(timedelta(days=14), 10**9)
    assert not left.exists()
    assert list((tmp_path / "cache/claims").iterdir()) == []


def test_a_damaged_version_goes_and_does_not_stop_the_rest(store, clock, workspace, tmp_path):
    what = cache.wanted(PIP, workspace, "p")
    assert fill(store, clock, tmp_path, what, BRANCH, "good", "branch")
    assert fill(store, clock, tmp_path, what, PROTECTED, "x")
    (version,) = (tmp_path / "cache/protected" / what.family).iterdir()
    (version / "entry.json").write_text("{")
    assert [one.path for one in store.prune(timedelta(days=14), 10**9)] == [version]
    assert kept(store, claim(store, clock, what, BRANCH)) == {"file": "good"}


def test_many_savers_of_one_key_leave_one_whole_version(store, clock, workspace, tmp_path):
    what = cache.wanted(PIP, workspace, "p")

    def save(number):
        made = claim(store, clock, what, PROTECTED, f"h{number}")
        places = [directory(tmp_path, f"made-{number}-{index}", str(number)) for index in (0, 1)]
        return store.save(made, places)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(save, range(16))) == 1
    made = claim(store, clock, what, PROTECTED, "reader")
    assert kept(store, made, 0) == kept(store, made, 1)
