"""What pushers see: whole lines, a cap for each script, and a signal that no script can give."""

import os
import subprocess
import sys
from threading import Thread

import pytest

from agent.worker import feed as module
from agent.worker.feed import LEAVE, Feed


@pytest.fixture
def feed(tmp_path):
    return Feed(tmp_path)


def lines(tmp_path):
    return (tmp_path / "feed").read_text().splitlines()


def test_a_line_stays_one_line_and_nobody_but_us_lets_followers_go(feed, tmp_path):
    feed.say("one\ntwo", "three")
    feed.output("build/unit", LEAVE)
    feed.output("build/unit", f"a{LEAVE}b")
    feed.say(LEAVE)
    assert (tmp_path / "feed").read_bytes() == b"one two\nthree\nbuild/unit | \nbuild/unit | ab\n\n"
    feed.leave()
    assert (tmp_path / "feed").read_bytes().endswith(b"\n\x04\n")


def test_nobody_else_may_read_it(feed, tmp_path):
    feed.say("x")
    assert (tmp_path / "feed").stat().st_mode & 0o777 == 0o600


def test_what_is_not_utf8_is_shown_as_well_as_it_can_be(feed, tmp_path):
    feed.output("a/b", "caf\udce9 \N{SNOWMAN}")
    assert (tmp_path / "feed").read_bytes() == "a/b | caf? \N{SNOWMAN}\n".encode()


def test_the_cap_is_of_each_script_and_is_told_once(feed, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CAP", 10)
    for line in ("12345", "12345", "6", "7", ""):
        feed.output("a/loud", line)
    feed.output("a/quiet", "x")
    feed.say("ours")
    assert lines(tmp_path) == [
        "a/loud | 12345",
        "a/loud | 12345",
        "a/loud | … more output than is shown here; the whole of it is in the log",
        "a/quiet | x",
        "ours",
    ]


def test_lines_of_many_threads_stay_whole(feed, tmp_path):
    threads = [Thread(target=lambda n=n: [feed.output(f"s/{n}", "x" * 500) for _ in range(50)]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(lines(tmp_path)) == sorted(f"s/{n} | {'x' * 500}" for n in range(8) for _ in range(50))


def test_a_directory_that_is_not_there_is_nobodys_trouble(tmp_path):
    Feed(tmp_path / "gone").say("x")
    assert not (tmp_path / "gone").exists()


def test_a_full_disk_is_swallowed(tmp_path):
    script = (
        "import resource, signal, sys; from pathlib import Path; from agent.worker.feed import Feed\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "feed = Feed(Path(sys.argv[1]))\n"
        "for _ in range(50): feed.say('x' * 9)\n"
        "feed.leave(); print('on')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, env={**os.environ})
    assert (done.stdout, done.stderr) == ("on\n", "")
    assert (tmp_path / "feed").stat().st_size == 100
