"""The engine's own cost: per action, at a restart, while it waits, with a long history, for a big file."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.worker.spawn import start
from bench import copies
from bench.server import MINUTES, Server, served, until
from bench.table import Row, compare, interleave, render
from tests.support.repo import Refused

TITLE = "The engine"
STAGES, ACTIONS = 50, 20  # 1,000 actions, which is the most that a pipeline may have
LOCAL = "linger = 0\n[local]\nenabled = true\n"
TICK = os.sysconf("SC_CLK_TCK")
MEMORY = Path("/dev/shm")
APPROVAL = """\
mode: queued
stages:
  - {name: ask, actions: [{name: people, approval: {timeout: 7d}}]}
  - {name: then, actions: [{name: nothing, runner: local, run: "true"}]}
"""


def run(rounds: int = 3) -> list[Row]:
    """All rows; the worker is one that was just started wherever it matters."""
    return [*overhead(rounds), *overhead(rounds, MEMORY), *restart(), *waiting(), *history(), *checking()]


def pipeline(stages: int, actions: int) -> str:
    """Actions that do nothing, on the agent's machine."""
    lines = ["defaults: {runner: local}", "stages:"]
    for stage in range(stages):
        lines += [f"  - name: s{stage}", "    actions:"]
        lines += [f"      - {{name: a{action}, run: 'true'}}" for action in range(actions)]
    return "\n".join(lines) + "\n"


def overhead(rounds: int = 3, under: Path | None = None) -> list[Row]:
    """A pipeline of 1,000 actions, from push to note, against the same processes started by xargs, four at once.

    In memory it is the engine's own cost; on a disk that of its syncs and of a dozen small files for each action comes to it.
    """
    if under and not under.is_dir():
        return []
    count = STAGES * ACTIONS
    with served(LOCAL.replace("linger = 0", "linger = 600"), under) as server:
        server.change({".pipeline/p.yaml": pipeline(1, 1)})
        server.run_to_note()
        server.write({".pipeline/p.yaml": pipeline(STAGES, ACTIONS)})
        bare = f"seq {count} | xargs -P 4 -n 1 sh -c true"
        cases = {
            "xargs -P 4": lambda: subprocess.run(["sh", "-c", bare], check=True),
            "git push to note": lambda: _pushed(server),
        }
        seconds = interleave(cases, rounds, warm_up=0)
    ours = [run - bare for run, bare in zip(seconds["git push to note"], seconds["xargs -P 4"], strict=True)]
    target = "<= 3" if under else ""
    each = Row("", "more for each action", statistics.median(ours) / count * 1000, None, target, rounds, "ms")
    place = "in memory" if under else "on the disk"
    return [*compare(f"{count:,} no-op actions, {place}", seconds, "xargs -P 4", {}), each]


def restart(rounds: int = 3, queued: int = 1000) -> list[Row]:
    """From the start of a worker until it waits for people, with one execution and with many behind it."""
    with _asking() as one, _asking() as many:
        copies.queued(many.directory / "state.db", copies.commits(many, queued - 1))
        _start(many)  # takes them in, for the first time
        cases = {"1 execution": lambda: _start(one), f"{queued:,} executions": lambda: _start(many)}
        seconds = interleave(cases, rounds, warm_up=1)
    return compare("a worker starts again", seconds, "1 execution", {})


def waiting(seconds: float = 3.0) -> list[Row]:
    """What the worker has and uses while it waits for a person."""
    with _asking() as server:
        _start(server)
        pid = server.worker
        time.sleep(1)  # it has only just become that
        before = _cpu(pid)
        time.sleep(seconds)
        used = _cpu(pid) - before
        sizes = dict(
            line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.endswith("kB")
        )
    group = "waiting for a person"
    return [
        Row(group, "memory of its own (PSS)", int(sizes["Pss:"]) / 1024, None, "<= 40", 1, "MB"),
        Row(group, "memory with what it shares (RSS)", int(sizes["Rss:"]) / 1024, None, "<= 40", 1, "MB"),
        Row(group, f"CPU in {seconds:g} seconds", used * 1000, None, "0", 1, "ms"),
    ]


def history(rounds: int = 7, many: int = 10_000) -> list[Row]:
    """`git pipeline status` on the server, with ten executions and with very many."""
    with served(LOCAL) as short, served(LOCAL) as long:
        for server, number in ((short, 9), (long, many - 1)):
            server.change({".pipeline/p.yaml": pipeline(2, 2)})
            server.run_to_note()
            server.end_worker()
            copies.ended(server.directory / "state.db", number)
        cases = {"10 executions": lambda: _status(short), f"{many:,} executions": lambda: _status(long)}
        seconds = interleave(cases, rounds)
    return compare("git pipeline status", seconds, "10 executions", {})


def checking(rounds: int = 5) -> list[Row]:
    """A push whose big pipeline was never judged before, against one whose pipeline is small."""
    with served(LOCAL) as server:
        server.change({".pipeline/p.yaml": pipeline(1, 1)})
        server.run_to_note()
        cases: dict[str, Callable[[], float]] = {
            "1 action": lambda: _judged(server, 1, 1),
            "50 x 20, accepted": lambda: _judged(server, 50, 20),
            "50 x 50, refused: more than 1,000 actions": lambda: _judged(server, 50, 50),
        }
        seconds = interleave(cases, rounds)
    return compare("a push is judged", seconds, "1 action", dict.fromkeys(list(cases)[1:], "< 1000 ms"))


def _pushed(server: Server) -> float:
    server.change()
    began = time.perf_counter()
    server.run_to_note()
    return time.perf_counter() - began


def _judged(server: Server, stages: int, actions: int) -> float:
    text = pipeline(stages, actions) + f"# {time.monotonic_ns()}\n"
    server.change({".pipeline/p.yaml": text.replace("stages:", "triggers: []\nstages:", 1)})
    began = time.perf_counter()
    try:
        server.push("HEAD:refs/heads/main")
    except Refused:
        server.git("reset", "-q", "--hard", "HEAD~1")
    return time.perf_counter() - began


@contextmanager
def _asking() -> Iterator[Server]:
    """A server with an execution that waits for people, and no worker."""
    with served(LOCAL) as server:
        server.change({".pipeline/p.yaml": APPROVAL})
        server.push("HEAD:refs/heads/main")
        _until_idle(server)
        server.end_worker()
        yield server


def _start(server: Server) -> float:
    """Start a worker; seconds until it is the small process that only waits."""
    server.end_worker()
    began = time.perf_counter()
    start(str(server.bare), sys.executable, server.environment, str(server.directory / "agent.log"))
    _until_idle(server)
    return time.perf_counter() - began


def _until_idle(server: Server) -> None:
    until(lambda: _is_idle(server.worker), "the worker only waits", MINUTES)


def _is_idle(pid: int) -> bool:
    try:
        return b"agent.worker.idle" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _status(server: Server) -> None:
    command = [sys.executable, "-I", "-m", "agent", "status", "--repo", str(server.bare)]
    subprocess.run(command, env=server.environment, check=True, capture_output=True)


if __name__ == "__main__":
    print(render(TITLE, run()))
