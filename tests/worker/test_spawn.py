"""The worker's start: in a session of its own, with a clean environment and nothing of its parent's."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault
from agent.worker import wake
from agent.worker.spawn import clean, start, wake_or_start

WORKER = """\
#!{python}
import json, os, signal, sys
facts = dict(
    argv=sys.argv[1:], environment=dict(os.environ), directory=os.getcwd(), session=os.getsid(0) == os.getpid(),
    descriptors=[os.readlink(f"/proc/self/fd/{{fd}}") for fd in range(1000) if os.path.lexists(f"/proc/self/fd/{{fd}}")],
    ignored=[int(one) for one in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM) if signal.getsignal(one) == signal.SIG_IGN],
    blocked=[int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, [])])
print("to the log")
open({facts!r} + ".part", "w").write(json.dumps(facts))
os.rename({facts!r} + ".part", {facts!r})
signal.pause()
"""


@pytest.fixture
def worker(tmp_path):
    """A program that tells what it was given, in place of the interpreter."""
    program = tmp_path / "python"
    program.write_text(WORKER.format(python=sys.executable, facts=str(tmp_path / "facts")))
    program.chmod(0o755)
    return program


def facts_of(tmp_path):
    deadline = time.monotonic() + 20
    while not (tmp_path / "facts").exists():
        assert time.monotonic() < deadline, "the worker did not start"
        time.sleep(0.01)
    return json.loads((tmp_path / "facts").read_text())


def test_lesson_1_12_nothing_is_inherited(worker, tmp_path):
    log = tmp_path / "agent.log"
    leaked = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/h",
        "GIT_DIR": ".",
        "GIT_QUARANTINE_PATH": "/q",
        "AWS_REGION": "x",
        "X": "y",
    }
    here = Path.cwd()
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pid = start("/srv/repo.git", str(worker), environment, str(log))
    finally:
        signal.signal(signal.SIGINT, former)
        os.close(leaked)
    try:
        facts = facts_of(tmp_path)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert facts["argv"] == ["-I", "-m", "agent.worker", "/srv/repo.git"]
    told = {name: value for name, value in facts["environment"].items() if name != "LC_CTYPE"}
    assert told == {"PATH": os.environ["PATH"], "HOME": "/h", "LANG": "C.UTF-8", "AWS_REGION": "x"}
    assert (facts["directory"], facts["session"], facts["ignored"], facts["blocked"]) == ("/", True, [], [])
    assert sorted(set(facts["descriptors"])) == sorted(["/dev/null", str(log)])
    assert Path.cwd() == here


def test_it_outlives_the_session_that_started_it(worker, tmp_path):
    script = (
        "import os, sys\n"
        "from agent.worker.spawn import start\n"
        "print(start('/r', sys.argv[1], {}, sys.argv[2]), flush=True)\n"
        "import signal; signal.pause()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(worker), str(tmp_path / "agent.log")], stdout=subprocess.PIPE, start_new_session=True
    )
    pid = int(parent.stdout.readline())
    facts_of(tmp_path)
    os.killpg(parent.pid, signal.SIGHUP)
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    assert parent.stdout.read() == b""  # nobody else holds it
    parent.stdout.close()
    os.kill(pid, 0)
    os.kill(pid, signal.SIGKILL)


def test_one_that_listens_is_woken_instead(worker, tmp_path):
    listener = wake.listen(str(tmp_path))
    assert not wake_or_start(str(tmp_path), "/r", str(worker), {})
    assert wake.drain(listener)
    os.close(listener)


def test_no_interpreter(tmp_path):
    with pytest.raises(EnvironmentFault) as caught:
        start("/srv/repo.git", "/nonexistent/python", {}, str(tmp_path / "agent.log"))
    assert "git pipeline resume /srv/repo.git" in caught.value.hint


def test_a_log_that_cannot_be_written_keeps_nobody_from_working(worker, tmp_path):
    pid = start("/r", str(worker), {}, str(tmp_path / "gone" / "agent.log"))
    try:
        assert facts_of(tmp_path)["directory"] == "/"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_poor_environment_still_has_a_path():
    assert "/usr/bin" in clean({})["PATH"]
