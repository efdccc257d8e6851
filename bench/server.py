"""A bare repository with the agent installed, a clone to push from, and the worker that serves it, for measuring."""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.admin.install import install
from agent.git.command import clean_environment
from agent.worker import wake
from agent.workspaces.mounts import mounted, unmount
from tests.support.repo import Repo

MINUTES = 600.0  # seconds that anything may take here
FINAL = ("Succeeded", "Failed", "Stopped")


def until(condition: Callable[[], object], what: str, seconds: float = MINUTES) -> None:
    """Poll until the condition holds; TimeoutError with `what` after that many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.005)


class Server(Repo):
    """As Repo. `config` is the operator's file; a worker starts with the first push and lingers as that file says."""

    def __init__(self, root: Path, config: str = "") -> None:
        super().__init__(root)
        self.directory = self.bare / "pipeline"
        install(self.bare, Path(sys.executable), clean_environment(self.environment), os.getuid(), root / "repositories")
        (self.directory / "config.toml").write_text(config)
        self._count = 0

    def change(self, files: dict[str, str] | None = None) -> str:
        """A new commit in the clone; returns its id."""
        self._count += 1
        return self.commit({"file": f"{self._count}\n", **(files or {})})

    def run_to_note(self) -> None:
        """Push the commit of the clone, follow it to its end, and read its note. RuntimeError if it did not succeed."""
        said = self.push("HEAD:refs/heads/main")
        note = (self.note("pipeline", self.head) or b"").decode()
        if "Succeeded" not in note.partition("\n")[0]:
            raise RuntimeError(f"no note of a success:\n{note}\nthe push said:\n{said}")

    @property
    def worker(self) -> int:
        """The process id of the worker; 0 if there is none."""
        path = self.directory / "worker.lock"
        if not path.exists():
            return 0
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._holder(os.fstat(file.fileno()).st_ino)
        return 0

    def _holder(self, inode: int) -> int:
        """Who holds the lock, as the kernel tells: the small process that only waits does not write its number down."""
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
                return int(words[4])
        return 0

    def end_worker(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the worker, if there is one, and wait until it is gone."""
        if pid := self.worker:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            until(lambda: not self.worker, "the worker is gone")

    def is_listening(self) -> bool:
        """Whether a worker answers the bell."""
        return wake.is_heard(str(self.directory))

    def close(self) -> None:
        """End the worker, and remove what it had no time for."""
        self.end_worker(signal.SIGKILL)
        for mount in list(mounted(self.directory)):
            unmount(mount)


@contextmanager
def served(config: str = "", under: Path | None = None) -> Iterator[Server]:
    """A server in a directory of its own, removed at the end. `under`: where, else where temporary files are."""
    directory = Path(tempfile.mkdtemp(prefix="git-pipeline-bench-", dir=under))
    server = Server(directory / "r", config)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)
