"""A repository with the agent and a real worker, whose actions run on this machine and wait until a test lets them go on."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.state.database import open_existing
from agent.state.queue import Queue, Row
from agent.worker import wake
from agent.workspaces.mounts import mounted, unmount
from tests.support.installed import Installed

LINGER, SHORT = 'linger = "PT10S"', 'linger = "PT0.3S"'  # a worker that goes and comes between two pushes costs much
CONFIG = f"{LINGER}\n[local]\nenabled = true\n"
PATIENCE = 60.0  # seconds, on a machine that is busy with other tests


class Working(Installed):
    """As Installed; an action `stage/name` ends with the exit code that `let(name, code)` gives it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.close()
        self.gates = root / "gates"
        self.gates.mkdir()
        self.configure(CONFIG)

    def configure(self, text: str) -> None:
        (self.directory / "config.toml").write_text(text)

    def hurry(self) -> None:
        """A worker that starts from now on leaves as soon as it has nothing to do."""
        self.configure((self.directory / "config.toml").read_text().replace(LINGER, SHORT))

    def action(self, name: str, *more: str) -> str:
        """An action that tells that it runs, and waits."""
        lines = (
            f"- name: {name}",
            "  runner: local",
            *(f"  {line}" for line in more),
            "  run: |",
            f"    G={self.gates}",
            f'    echo "$PIPELINE_NUMBER $PIPELINE_ATTEMPT" >> $G/{name}.ran',
            f"    until [ -e $G/{name} ] || [ ! -d $G ]; do sleep 0.03; done",
            f'    exit "$(cat $G/{name})"',
        )
        return "".join(f"      {line}\n" for line in lines)

    def stage(self, name: str, *actions: str, more: str = "") -> str:
        """A stage; without actions it has one of its own name."""
        head = f"  - name: {name}\n" + (f"    {more}\n" if more else "")
        return f"{head}    actions:\n{''.join(actions or (self.action(name),))}"

    def commit_release(self, *stages: str, head: str = "triggers: []\n") -> str:
        """Commit a pipeline `release` that only people start, and push it."""
        return self.commit_and_push({".pipeline/release.yaml": f"{head}stages:\n{''.join(stages)}"})

    def let(self, name: str, code: int = 0) -> None:
        """From now on this action ends, with this exit code."""
        part = self.gates / f".{name}"
        part.write_text(f"{code}\n")
        part.rename(self.gates / name)

    def hold(self, name: str) -> None:
        """From now on this action waits again."""
        (self.gates / name).unlink()

    def ran(self, name: str) -> list[str]:
        """The starts of this action: number of the execution and attempt."""
        path = self.gates / f"{name}.ran"
        return path.read_text().splitlines() if path.exists() else []

    def row(self, number: int = 1, pipeline: str = "release") -> Row:
        database = open_existing(str(self.directory / "state.db"))
        try:
            found = Queue(database).by_number(pipeline, number)
        finally:
            database.close()
        assert found, f"there is no {pipeline} #{number}"
        return found

    def wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not in time: {what}\n{self.log}"
            time.sleep(0.02)

    def wait_for(self, status: str, number: int = 1) -> None:
        self.wait(lambda: self.row(number).status == status, f"#{number} {status}")

    def wait_until_runs(self, name: str, times: int = 1) -> None:
        self.wait(lambda: len(self.ran(name)) >= times, f"{name} runs")

    @property
    def log(self) -> str:
        path = self.directory / "agent.log"
        return path.read_text() if path.exists() else ""

    def feed(self, number: int = 1) -> str:
        """What a pusher could read of an execution."""
        path = self.directory / "executions" / self.row(number).id / "feed"
        return path.read_text() if path.exists() else ""

    @property
    def workers(self) -> list[int]:
        """The processes of the worker of this repository: of what runs on this machine, those that name it."""
        return [
            pid for pid in map(int, filter(str.isdigit, (one.name for one in Path("/proc").iterdir()))) if self._is_worker(pid)
        ]

    def _is_worker(self, pid: int) -> bool:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            return str(self.bare) in words and any(word.startswith("agent.worker") for word in words)
        return False

    def kill_worker(self) -> None:
        """As the machine would: kill -9, and wait until nothing of it is left."""
        for pid in self.workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait(self._is_left_alone, "the worker is dead")

    def _is_left_alone(self) -> bool:
        self._reap()
        return not self.workers and not wake.is_heard(str(self.directory))

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def end(self) -> None:
        """Let everything go, and end what this repository runs."""
        shutil.rmtree(self.gates)
        self.kill_worker()
        for mount in list(mounted(self.directory)):
            unmount(mount)
