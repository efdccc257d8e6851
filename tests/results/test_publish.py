"""Publishing: three notes that agree, written again without harm."""

import contextlib
import random
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault
from agent.execution.fold import evolve
from agent.execution.state import ExecutionState
from agent.git.notes import Notes
from agent.model.ids import attempt_id
from agent.results import lognote, note, record, recording
from agent.results.publish import LOG, PEOPLE, RECORD, Publisher
from tests.support.published import git
from tests.support.stories import COMMIT, Story
from tests.support.tales import CASES

CAP = 1000


class Server:
    """A bare repository, its log files, and a publisher."""

    def __init__(self, directory: Path) -> None:
        self.bare, self.directory = directory / "project.git", directory / "executions"
        git(directory, "init", "--quiet", "--bare", str(self.bare))
        self.notes = Notes(self.bare)
        seconds: Iterator[int] = count()
        self.publisher = Publisher(self.notes, lambda _: CAP, lambda: float(next(seconds)))

    def logs(self, story: Story) -> Path:
        return self.directory / story.execution.id / "logs"

    def log(self, story: Story, stage: str, action: str, text: bytes, attempt: int = 1) -> Path:
        self.logs(story).mkdir(parents=True, exist_ok=True)
        path = self.logs(story) / f"{attempt_id(story.execution.id, stage, action, attempt)}.log"
        path.write_bytes(text)
        return path

    def publish(self, story: Story) -> None:
        self.publisher.publish(story.execution, story.plan, story.state, self.logs(story), story.now)

    def read(self, ref: str, commit: str = COMMIT) -> bytes:
        return self.notes.read(ref, commit) or b""

    def commits(self) -> dict[str, int]:
        refs = git(self.bare, "for-each-ref", "--format=%(refname)").split()
        return {ref: int(git(self.bare, "rev-list", "--count", ref)) for ref in refs}


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_the_notes_agree(server: Server) -> None:
    [story] = CASES["failure"]()
    server.log(story, "build", "unit", b"ok\nE   assert 12 == 22\n")
    server.publish(story)
    [written] = record.decode(server.read(RECORD))
    assert server.read(PEOPLE).decode() == note.render([written])
    assert b"    | E   assert 12 == 22\n" in server.read(PEOPLE)
    [section] = lognote.split(server.read(LOG))[0]
    assert (section.place, section.status, section.body) == ("build/unit", "Failed", b"ok\nE   assert 12 == 22\n")
    assert written.stages[0].actions[1].log == record.LogRecord(
        lines=2, bytes=23, tail=("ok", "E   assert 12 == 22"), digest=sha256(section.body).hexdigest()
    )


def test_git_shows_what_was_published(server: Server) -> None:
    git(server.bare, "fast-import", "--quiet", stdin=b"commit refs/heads/main\ncommitter A <a@x> 1 +0000\ndata 3\none\n")
    commit = git(server.bare, "rev-parse", "main")
    [story] = CASES["matrix"]()
    story.execution = Story(story.plan, number=8, commit=commit).execution
    server.publish(story)
    shown = git(server.bare, "log", "--notes=pipeline", "main")
    assert "Notes (pipeline):\n    ci #8  Failed  in 23s  (push to main by alice)\n" in shown


def test_publishing_again_writes_nothing(server: Server) -> None:
    [story] = CASES["failure"]()
    server.log(story, "build", "unit", b"bad\n")
    server.publish(story)
    before = server.commits()
    assert before == {PEOPLE: 1, RECORD: 1, LOG: 1}
    server.publish(story.after(60))
    assert server.commits() == before
    Publisher(server.notes, lambda _: CAP, float).publish(story.execution, story.plan, story.state, server.logs(story), story.now)
    assert server.commits() == before


@pytest.mark.parametrize("case", CASES)
def test_published_step_by_step_it_says_what_it_says_at_once(server: Server, case: str) -> None:
    """What did not change since the last time is not told anew: none of it may be stale."""
    for story in CASES[case]():
        state = ExecutionState()
        for event in story.events:
            state = evolve(state, event)
            server.publisher.publish(story.execution, story.plan, state, server.logs(story), event.at)
            told = record.of(server.read(RECORD), story.execution.id)
            assert told is not None
            assert record.says_the_same(told, recording.make(story.execution, story.plan, state, event.at))


def test_what_writing_took_is_in_the_record(server: Server) -> None:
    server.publish(CASES["running"]()[0])
    [story] = CASES["success"]()
    server.publish(story)
    [written] = record.decode(server.read(RECORD))
    assert written.timings == {"publish": 1.0}


def test_logs_that_are_gone_from_the_disk_stay_published(server: Server) -> None:
    [story] = CASES["matrix"]()
    path = server.log(story, "test", "unit (3.12)", b"make: *** Error 2\n")
    server.publish(story)
    log, told = server.read(LOG), server.read(PEOPLE)
    path.unlink()
    server.publish(story.finish("Failed", "later news"))
    assert (server.read(LOG), server.read(PEOPLE)) == (log, told)


def test_a_long_log_is_cut_and_the_record_says_so(server: Server) -> None:
    [story] = CASES["failure"]()
    raw = b"".join(b"line %d\n" % index for index in range(1000))
    path = server.log(story, "build", "unit", raw)
    server.publish(story)
    [section] = lognote.split(server.read(LOG))[0]
    assert section.body.startswith(b"line 0\n")
    assert section.body.endswith(b"line 999\n")
    assert f"pipeline/executions/{story.execution.id}/logs/{path.name}".encode() in section.body
    log = record.decode(server.read(RECORD))[0].stages[0].actions[1].log
    assert log is not None
    assert (log.bytes, log.cut > len(raw) - CAP) == (len(raw), True)


def test_every_attempt_keeps_its_log(server: Server) -> None:
    [story] = CASES["retried"]()
    server.log(story, "build", "unit", b"first\n")
    server.log(story, "build", "unit", b"second\n", attempt=2)
    server.publish(story)
    sections = lognote.split(server.read(LOG))[0]
    assert [(one.attempt, one.status, one.body) for one in sections] == [(1, "Failed", b"first\n"), (2, "Succeeded", b"second\n")]


def test_executions_of_one_commit_share_its_notes(server: Server) -> None:
    stories = CASES["nightly"]()
    for story in stories[-3:]:
        server.publish(story)
    assert [one.label for one in record.decode(server.read(RECORD))] == ["nightly #12", "nightly #13", "release #42"]
    blocks = server.read(PEOPLE).decode().split("\n\n")
    assert [block.split("  ")[0] for block in blocks[:1] + blocks[2:3]] == ["nightly #13", "release #42"]
    assert blocks[1].startswith("  before: nightly #12  Succeeded")


def test_each_moment_can_be_published_and_the_end_is_the_same(server: Server, tmp_path: Path) -> None:
    [story] = CASES["failure"]()
    server.log(story, "build", "unit", b"bad\n")
    state = ExecutionState()
    for event in story.events:
        state = evolve(state, event)
        server.publisher.publish(story.execution, story.plan, state, server.logs(story), event.at)
    (tmp_path / "once").mkdir()
    once = Server(tmp_path / "once")
    once.log(story, "build", "unit", b"bad\n")
    once.publish(story)
    assert (server.read(PEOPLE), server.read(LOG)) == (once.read(PEOPLE), once.read(LOG))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB."""
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode()}")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """A file that takes all the room there is."""
    filler = directory / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def test_a_full_disk_loses_nothing(small: Path) -> None:
    server = Server(small)
    first, second = CASES["nightly"]()[-1], CASES["running"]()[0]
    server.log(first, "build", "unit", b"bad\n")
    server.publish(first)
    written = {ref: server.read(ref) for ref in (PEOPLE, RECORD, LOG)}
    second.execution = Story(second.plan, number=43).execution
    server.log(second, "build", "package", random.Random(1).randbytes(CAP // 2))
    filler = fill(small)
    with pytest.raises(EnvironmentFault, match="No space left"):
        server.publish(second)
    assert {ref: server.read(ref) for ref in written} == written
    filler.unlink()
    server.publish(second)
    assert [one.number for one in record.decode(server.read(RECORD))] == [42, 43]
    assert [one.place for one in lognote.split(server.read(LOG))[0]] == ["build/unit", "build/package"]


def test_a_disk_that_fails_is_an_environment_fault(server: Server) -> None:
    [story] = CASES["failure"]()
    path = server.log(story, "build", "unit", b"bad\n")
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a file that cannot be read
    with pytest.raises(EnvironmentFault, match=r"cannot publish release #42: .*Input/output error"):
        server.publish(story)
    assert server.commits() == {}
    path.unlink()
    path.write_bytes(b"bad\n")
    server.publish(story)
    assert b"bad\n" in server.read(LOG)
