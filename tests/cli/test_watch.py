"""`git pipeline watch`: plain lines without a terminal, a tree on one."""

import os
import pty
import re
import sys
from pathlib import Path

from tests.support.screen import pieces

ROOT = Path(__file__).parents[2]


def test_plain_lines_until_the_end(repo, call):
    repo.commit_release(repo.stage("build"), repo.stage("deploy"))
    repo.let("build")
    repo.let("deploy", 3)
    call("start", "release")
    code, out, err = call("watch", "release")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[-1] == "release #1  failed"
    assert any(line.startswith("build  succeeded in ") for line in lines)
    assert any(line.startswith("deploy/deploy  failed in ") and line.endswith(": exit code 3") for line in lines)


def test_a_terminal_shows_the_tree_as_it_changes(repo, call):
    repo.commit_release(repo.stage("build", repo.action("unit", "env: {A: b}")))
    repo.let("unit")
    call("start", "release")
    repo.hold("unit")
    call("start", "release", "--detach")
    repo.wait_until_runs("unit", 2)
    child, terminal = pty.fork()
    if child == 0:
        words = [sys.executable, "-m", "agent", "watch", "release", "--repo", str(repo.bare)]
        os.execve(sys.executable, words, os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"})
    shown = b""
    for piece in pieces(terminal):
        shown += piece
        if b"% of " in shown:
            repo.let("unit")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    text = shown.decode()
    assert "█" in text or "░" in text
    assert "└─ unit" in re.sub("\x1b.[0-9;]*m", "", text)
    assert "\x1b[32mSucceeded" in text
