"""A Docker engine for the tests: the one that runs, else one started here. Never skipped in silence.

`python -m tests.support.engine` makes sure of one and builds the test images. `Private` is a second engine that a test may kill.
"""

import fcntl
import os
import shutil
import signal
import socket as stream
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET = Path("/var/run/docker.sock")
SECONDS = 60.0


class NoEngine(RuntimeError):
    """There is no Docker engine and none can be started; says what is missing."""


def answers(socket: Path = SOCKET) -> bool:
    """True if an engine answers at this socket."""
    import docker
    import docker.errors

    try:
        with stream.socket(stream.AF_UNIX) as door:  # the SDK would leave its own open
            door.connect(str(socket))
        client = docker.APIClient(base_url=f"unix://{socket}", version="auto", timeout=10)
    except (docker.errors.DockerException, OSError):
        return False
    client.close()
    return True


def until(condition, what: str, seconds: float = SECONDS) -> None:
    """Poll until the condition holds; AssertionError with `what` after that many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time, on this machine."""
    with (Path(tempfile.gettempdir()) / f"git-pipeline-tests.{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure() -> None:
    """Return once an engine answers; starts dockerd if need be. Raises NoEngine with what is missing."""
    if answers():
        return
    with locked("engine"):
        if not answers():
            _start()


def _start() -> None:
    if not shutil.which("dockerd"):
        raise NoEngine(
            "these tests need a Docker engine: no engine answers and there is no dockerd (`apt-get install docker.io`)"
        )
    if os.geteuid() != 0:
        raise NoEngine(
            "these tests need a Docker engine: none answers, and only root can start dockerd (`systemctl start docker`)"
        )
    log = Path(tempfile.gettempdir()) / "git-pipeline-tests.dockerd.log"
    with log.open("ab") as output:
        subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        ).returncode = 0
    try:
        until(answers, "dockerd answers")
    except AssertionError as error:
        raise NoEngine(f"dockerd was started but does not answer; its log is {log}") from error


class Private:
    """An engine of its own, in mount and network namespaces of its own, whose death hurts nobody else. Needs root."""

    def __init__(self, directory: Path, *, live_restore: bool = False) -> None:
        self.socket = directory / "d.sock"
        self._directory = directory
        self._options = ["--live-restore"] if live_restore else []
        self._process: subprocess.Popen | None = None
        # The namespaces outlive the engine, as those of a machine do.
        command = ["unshare", "-m", "-n", "sh", "-c", "ip link set lo up; echo up; exec sleep infinity"]
        self._home = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        assert self._home.stdout
        assert self._home.stdout.readline() == b"up\n"
        (directory / "daemon.json").write_text("{}")

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        at = self._directory
        command = [
            *("dockerd", "--data-root", f"{at}/root", "--exec-root", f"{at}/exec", "-H", self.host, "--pidfile", f"{at}/pid"),
            *("--iptables=false", "--ip-masq=false", "--bridge=none", "--config-file", f"{at}/daemon.json", *self._options),
        ]
        (at / "pid").unlink(missing_ok=True)
        self._wait_for_containerd()
        wrapped = ["nsenter", "-t", str(self._home.pid), "-m", "-n", *command]
        with (at / "log").open("ab") as log:
            self._process = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        until(lambda: answers(self.socket), f"the private engine answers, see {at}/log")

    def _wait_for_containerd(self) -> None:
        """It dies with its dockerd, but where nobody reaps orphans its number would look alive to the next dockerd."""
        file = self._directory / "exec" / "containerd" / "containerd.pid"
        if file.exists():
            pid = file.read_text().strip()
            until(lambda: not _is_alive(pid), "the former containerd is gone")
            file.unlink(missing_ok=True)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the engine by this signal and wait until it is gone."""
        assert self._process
        self._process.send_signal(how)
        self._process.wait(SECONDS)

    def close(self) -> None:
        """End the engine and what it started."""
        if self._process and self._process.poll() is None:
            self.end()
        for pid in _of(self._directory):
            os.kill(pid, signal.SIGKILL)
        self._home.kill()
        self._home.communicate()


def _of(directory: Path) -> list[int]:
    """What a private engine and its containers are: they name its directory in their command or among their mounts."""
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit() and _names(each, str(directory).encode())]


def _names(process: Path, directory: bytes) -> bool:
    try:
        words = (process / "cmdline").read_bytes() + (process / "mountinfo").read_bytes()
    except OSError:
        return False
    return directory + b"/" in words and process.name != str(os.getpid())


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    from tests.support import images

    try:
        ensure()
    except NoEngine as problem:
        sys.exit(str(problem))
    print("the Docker engine answers; test images:", images.busybox(), images.python())
