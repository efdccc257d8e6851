"""Following: every line once and at once, nothing that could steer a terminal, and an end in every case."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread

import pytest

from agent.worker import wake
from agent.worker.follow import Followed, Output, follow

ONE = (Followed("01", "release #1"),)
TWO = (*ONE, Followed("02", "docs #7"))


@pytest.fixture
def directory(tmp_path):
    for name in ("01", "02"):
        (tmp_path / "executions" / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with suppress(OSError):
            os.close(descriptor)


def append(directory, name, text):
    with (directory / "executions" / name / "feed").open("a") as feed:
        feed.write(text)


def read(reader):
    return os.read(reader, 1 << 16).decode()


def test_what_is_there_is_shown_until_one_may_leave(directory, pipe):
    append(directory, "01", "one\ntwo\n\x04\nnot for this one\n")
    assert follow(str(directory), ONE, Output(pipe[1]), time.monotonic, time.sleep)
    assert read(pipe[0]) == "one\ntwo\n"


def test_lines_come_as_they_are_completed(directory, pipe):
    listener = wake.listen(str(directory))
    follower = Thread(target=follow, args=(str(directory), ONE, Output(pipe[1]), time.monotonic, time.sleep))
    follower.start()
    for line in ("first", "second"):
        append(directory, "01", line[:3])
        append(directory, "01", f"{line[3:]}\n")
        assert read(pipe[0]) == f"{line}\n"
    append(directory, "01", "\x04\n")
    follower.join(10)
    assert not follower.is_alive()
    os.close(listener)


def test_several_are_told_apart(directory, pipe):
    append(directory, "01", "a\n\x04\n")
    append(directory, "02", "b\n\x04\n")
    follow(str(directory), TWO, Output(pipe[1]), time.monotonic, time.sleep)
    assert read(pipe[0]) == "[release #1] a\n[docs #7] b\n"


def test_a_worker_that_died_is_told(directory, pipe):
    append(directory, "01", "started\n")
    ticks = iter(range(1000))
    assert not follow(str(directory), ONE, Output(pipe[1]), lambda: float(next(ticks)), lambda _: None)
    said = read(pipe[0])
    assert said.startswith("started\n")
    assert "nothing that was accepted is lost" in said
    assert "git pipeline resume" in said


def test_a_worker_that_lives_may_be_silent(directory, pipe):
    listener = wake.listen(str(directory))
    seconds = iter(range(10_000))

    def clock():
        now = float(next(seconds))
        if now == 5000:
            append(directory, "01", "late\n\x04\n")
        return now

    assert follow(str(directory), ONE, Output(pipe[1]), clock, lambda _: None)
    assert read(pipe[0]) == "late\n"
    os.close(listener)


def test_nobody_reads_any_more(directory, pipe):
    listener = wake.listen(str(directory))
    os.close(pipe[0])
    assert follow(str(directory), ONE, Output(pipe[1]), time.monotonic, time.sleep)
    os.close(listener)


def test_ctrl_c_ends_only_the_following(directory):
    listener = wake.listen(str(directory))
    script = (
        "import sys, time\n"
        "from agent.worker.follow import Followed, Output, follow\n"
        "follow(sys.argv[1], [Followed('01', 'x')], Output(1), time.monotonic, time.sleep)\n"
    )
    append(directory, "01", "line\n")
    process = subprocess.Popen([sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"line\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) != 0
    process.stdout.close()
    os.close(listener)
