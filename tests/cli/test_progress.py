"""How far long work is: seen in a real pseudo-terminal, and nowhere else."""

import io
import os
import pty
import re
import sys
from pathlib import Path

import pytest

from agent.cli.progress import DELAY, RENEWED, Progress
from tests.support.screen import pieces
from tests.support.sealed import Sealed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def slow(tmp_path, keys, monkeypatch):
    """A clone of sealed results whose server takes its time to answer."""
    made = Sealed(tmp_path, keys)
    for number in (1, 2):
        made.passed(number)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(made.clone)
    made.git("config", "remote.origin.uploadpack", f"sleep {DELAY + 0.3} && git-upload-pack")
    return made


def in_terminal(*words: str) -> str:
    """What a terminal shows of `git pipeline …`."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-m", "agent", *words], os.environ | {"PYTHONPATH": str(ROOT)})
    shown = b"".join(pieces(terminal))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    return shown.decode()


@pytest.mark.usefixtures("slow")
def test_a_terminal_shows_it_and_is_left_clean(call):
    shown = in_terminal("verify", "--fetch")
    assert "\rFetching results from origin: " in shown
    assert "\rVerifying executions:   0% (0/2)" in shown
    assert "\x1b" not in shown  # NO_COLOR
    seen = [re.sub(r".*\r(?=.)", "", line.rstrip("\r")) for line in shown.split("\n")]
    code, out, err = call("verify")
    assert (code, err) == (0, "")
    assert [line.rstrip() for line in seen] == out.split("\n")


@pytest.mark.usefixtures("slow")
def test_scripts_see_nothing_of_it(call):
    assert "Fetching" not in in_terminal("status", "--porcelain")
    _, out, err = call("status")
    assert ("Fetching" in out, err) == (False, "")


def test_a_line_that_is_renewed_in_place():
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, lambda: now[0])

    def slowly(*moments: float):
        for moment in moments:
            now[0] = moment
            yield moment

    after = DELAY + RENEWED
    assert list(progress("Counting", slowly(0.1, DELAY, DELAY + 0.01, after), 4)) == [0.1, DELAY, DELAY + 0.01, after]
    assert stream.getvalue() == f"\rCounting:  25% (1/4)\rCounting:  75% (3/4)\r{' ' * 20}\r"


def test_work_that_is_soon_done_shows_nothing():
    stream = io.StringIO()
    assert list(Progress(stream, lambda: 0.0)("Counting", range(1000), 1000)) == list(range(1000))
    assert stream.getvalue() == ""


def test_where_nobody_knows_how_much_there_is():
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, lambda: now[0])
    now[0] = DELAY
    for _ in progress("Counting", range(3)):
        now[0] += RENEWED
    assert "\rCounting: 0\rCounting: 1\rCounting: 2" in stream.getvalue()
