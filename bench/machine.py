"""Many repositories on one machine: all have an execution queued, one look starts their workers, one limit is kept by all.

Run as `python -m bench.machine [REPOSITORIES]` with the interpreter that has git-pipeline, and some 30 MB of memory for each.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.worker import wake
from bench.server import FINAL, Server, until
from bench.table import Row, render

TITLE = "Many repositories on one machine"
PLACES = 4
CONFIG = f"machine_concurrency = {PLACES}\nlinger = 0\n[local]\nenabled = true\n"
SCRIPT = "echo + >> {told}; sleep 0.05; echo - >> {told}"
PIPELINE = "defaults: {{runner: local}}\nstages:\n  - name: s\n    actions:\n      - {{name: one, run: '{script}'}}\n"


def run(count: int = 200) -> list[Row]:
    """Everything queued everywhere until the last note; what that takes of memory at most; a look that finds nothing to do."""
    with _machine(count) as (servers, environment, told):
        memory = _Memory()
        began = time.perf_counter()
        _look(environment)
        until(lambda: all(_is_over(server) for server in servers), "every repository has its note")
        took = time.perf_counter() - began
        most = memory.stop()
        began = time.perf_counter()
        _look(environment)
        idle = time.perf_counter() - began
        at_once = _at_once(told)
    group = f"{count} repositories, one execution each"
    return [
        Row(group, "from one look to the last note", took, None, "", 1),
        Row(group, "each", took / count * 1000, None, "", 1, "ms"),
        Row(group, "actions at the same time, at most", float(at_once), None, f"<= {PLACES}", 1, "actions"),
        Row(group, "memory of all workers, at most (PSS)", most / 1024, None, "", 1, "MB"),
        Row(group, "a look that finds nothing to do", idle / count * 1000, None, "", 1, "ms each"),
    ]


@contextmanager
def _machine(count: int) -> Iterator[tuple[list[Server], dict[str, str], Path]]:
    """Repositories with one queued execution each and no worker, the environment that lists them, and what actions tell."""
    root = Path(tempfile.mkdtemp(prefix="git-pipeline-bench-"))
    told = root / "told"
    servers: list[Server] = []
    try:
        for number in range(count):
            server = Server(root / str(number), CONFIG)
            servers.append(server)
            server.change({".pipeline/p.yaml": PIPELINE.format(script=SCRIPT.format(told=told))})
            listener = wake.listen(str(server.directory))  # as a worker would, so none is started yet
            server.push("-o", "pipeline.detach", "HEAD:refs/heads/main")
            os.close(listener)
        listed = root / "repositories"
        listed.write_text("".join(f"{server.bare}\n" for server in servers))
        yield servers, {**servers[0].environment, "GIT_PIPELINE_REPOSITORIES": str(listed)}, told
    finally:
        for server in servers:
            server.close()
        shutil.rmtree(root, ignore_errors=True)


def _look(environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "agent", "worker", "--all"], env=environment, check=True, capture_output=True)


def _is_over(server: Server) -> bool:
    return any(status.encode() in (server.note("pipeline", server.head) or b"").partition(b"\n")[0] for status in FINAL)


def _at_once(told: Path) -> int:
    running = most = 0
    for line in told.read_text().splitlines():
        running += 1 if line == "+" else -1
        most = max(most, running)
    return most


class _Memory:
    """The greatest sum of what the workers had, looked at again and again."""

    def __init__(self) -> None:
        self._most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """Kilobytes."""
        self._over.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self._most = max(self._most, sum(map(_memory, Path("/proc").glob("[0-9]*"))))


def _memory(process: Path) -> int:
    with suppress(OSError):
        if b"agent.worker" in (process / "cmdline").read_bytes():
            lines = (process / "smaps_rollup").read_text().splitlines()
            return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 0


def main(count: int = 200) -> None:
    print(render(TITLE, run(count)))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
