"""A farm: real sshd processes on loopback addresses, each a host with a home of its own. Needs root for the namespaces.

`Host.root` is what the host sees as /root. A host can be killed, frozen and cut off from everyone who is connected.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agent.executors.hostkeys import KnownHosts
from agent.executors.route import Keys, Route
from agent.executors.ssh import SshExecutor
from tests.support.engine import locked, until
from tests.support.jobs import now

PORT = 2222
OFFERED = "GIT_PIPELINE_TEST_HOST"
CONFIG = """
ListenAddress {address}
Port {port}
HostKey {directory}/host_key
{extra}
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
UsePAM no
PidFile {directory}/pid
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 500:30:1000
PerSourceMaxStartups none
MaxSessions 10
LogLevel VERBOSE
"""
START = (
    "hostname {name}; mount --bind {directory}/root /root; mount --bind {directory}/srv /srv; "
    "{more}; exec /usr/sbin/sshd -D -E {directory}/log -f {directory}/config"
)


class NoServer(RuntimeError):
    """There is no sshd, or it cannot be started; says what is missing."""


class Host:
    """One sshd."""

    def __init__(self, directory: Path, name: str, address: str, port: int, users_key: Path) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.root = directory / "root"
        self._directory = directory
        self._process: subprocess.Popen | None = None
        self._more = ":"
        for part in ("root", "srv"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        keygen(directory / "host_key")
        self.allow(users_key)
        self.configure("")

    @property
    def host_key(self) -> str:
        """Type and key, as in a known_hosts file."""
        return " ".join((self._directory / "host_key.pub").read_text().split()[:2])

    @property
    def known(self) -> str:
        """The right line of a known_hosts file."""
        return f"[{self.address}]:{self.port} {self.host_key}"

    @property
    def key_file(self) -> Path:
        return self._directory / "host_key"

    @property
    def jobs(self) -> Path:
        """Where the supervisor keeps its jobs."""
        return self.root / ".git-pipeline" / "jobs"

    @property
    def config(self) -> Path:
        return self._directory / "config"

    @property
    def pid(self) -> int:
        """Of sshd, which is in the host's namespaces."""
        assert self._process
        return self._process.pid

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text()

    def allow(self, key: Path) -> None:
        """Let this key in."""
        with (self._directory / "authorized_keys").open("a") as file:
            file.write(key.with_name(key.name + ".pub").read_text())

    def configure(self, extra: str) -> None:
        """Write the configuration with further lines; counts from the next start on."""
        text = CONFIG.format(address=self.address, port=self.port, directory=self._directory, extra=extra)
        (self._directory / "config").write_text(text)

    def has_only_busybox(self) -> None:
        """From the next start on: no program but sshd and busybox, which is `sh` too."""
        tools = self._directory / "bin"
        tools.mkdir()
        shutil.copy(shutil.which("busybox") or "busybox", tools / "busybox")
        listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout
        for name in {*listed.split(), "sh"} - {"busybox"}:
            (tools / name).symlink_to("busybox")
        (tools / "bash").write_text('#!/bin/sh\nexec sh "$@"\n')  # root's shell, which sshd runs commands with
        (tools / "bash").chmod(0o755)
        self._more = f"mount --bind {tools} /usr/bin"

    def has_bash(self) -> None:
        """From the next start on: its `sh` is bash, as with Amazon Linux and Red Hat."""
        self._more = 'mount --bind "$(command -v bash)" "$(readlink -f /bin/sh)"'

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        Path("/run/sshd").mkdir(exist_ok=True)
        script = START.format(name=self.name, directory=self._directory, more=self._more)
        command = ["unshare", "-m", "-u", "--propagation", "private", "sh", "-c", script]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
        until(self._answers, f"sshd answers, see {self._directory}/log", 20)

    def stop(self) -> None:
        """The machine dies: sshd, every connection, every process of a job."""
        assert self._process
        self._process.kill()
        self._process.wait()
        self.cut()

    def cut(self) -> int:
        """Kill every connection, as a lost network would; what runs on the host goes on. How many there were."""
        found = [pid for pid in self._connections() if _kill(pid)]
        return len(found)

    def pause(self) -> None:
        """Stop sshd itself: whoever connects hears nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After a pause."""
        os.kill(self.pid, signal.SIGCONT)

    def freeze(self, which: signal.Signals = signal.SIGSTOP) -> None:
        """Stop every connection without closing it: a host that says nothing any more. SIGCONT undoes it."""
        for pid in self._connections():
            os.kill(pid, which)

    def close(self) -> None:
        """Stop it with all that its jobs left."""
        if self._process and self._process.poll() is None:
            self.stop()
        for process in _processes():
            if str(self._directory).encode() in _read(process / "mountinfo"):
                _kill(int(process.name))

    def _connections(self) -> list[int]:
        """The processes of sshd that serve a connection: in the host's namespace, but not the one that listens."""
        mine = str(self._directory).encode() + b"/root"
        names = (process for process in _processes() if _read(process / "comm").startswith(b"sshd"))
        pids = [int(each.name) for each in names if mine in _read(each / "mountinfo")]
        return [pid for pid in pids if not self._process or pid != self._process.pid]

    def _answers(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise NoServer(f"sshd cannot be started: {self.log if (self._directory / 'log').exists() else 'no log'}")
        try:
            with socket.create_connection((self.address, self.port), 1) as door:
                return door.recv(4) == b"SSH-"
        except OSError:
            return False


class Farm:
    """Hosts on 127.0.X.1, .2, … where X is this process's own, so that several runs do not meet."""

    def __init__(self, directory: Path) -> None:
        if not shutil.which("sshd", path="/usr/sbin"):
            raise NoServer("these tests need sshd: apt-get install openssh-server")
        if os.geteuid() != 0:
            raise NoServer("these tests need root: each host gets namespaces of its own")
        self._directory = directory
        self.key = keygen(directory / "user_key")
        self.hosts: list[Host] = []
        self._net = 2 + os.getpid() % 250

    def host(self, *, start: bool = True, extra: str = "") -> Host:
        """One more host."""
        number = len(self.hosts) + 1
        name = f"h{number}"
        host = Host(self._directory / name, name, f"127.0.{self._net}.{number}", PORT, self.key)
        host.configure(extra)
        self.hosts.append(host)
        if start:
            with locked("farm"):
                host.start()
        return host

    def close(self) -> None:
        for host in self.hosts:
            host.close()


def keygen(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> Path:
    """A key pair; the private file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def _processes() -> Iterator[Path]:
    return (each for each in Path("/proc").iterdir() if each.name.isdigit())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def leading_to(named: Mapping[str, Host], key: Path, known: Iterable[str] | None = None) -> str:
    """The lines of the operator's file by which a group is these hosts; `known`: other host keys than theirs."""
    addresses = ", ".join(f'{name} = "{host.address}:{host.port}"' for name, host in named.items())
    lines = [host.known for host in named.values()] if known is None else known
    return f"addresses = {{{addresses}}}\nkey = {json.dumps(str(key))}\nhost_keys = [{', '.join(map(json.dumps, lines))}]"


def route(host: Host, key: Path, /, **changes: object) -> Route:
    """The way to a host, with its right key known."""
    way = Route(host.address, host.port, "root", Keys((key,)), KnownHosts([host.known]))
    return way._replace(**changes)


@contextmanager
def offered(host: Host, key: Path) -> Iterator[None]:
    """While it lasts, `ssh(repository)` is an executor on this host, also in processes started here."""
    former = os.environ.get(OFFERED, "")
    os.environ[OFFERED] = "\n".join((host.address, str(host.port), str(key), host.known))
    try:
        yield
    finally:
        os.environ[OFFERED] = former


def ssh(repository: str) -> SshExecutor:
    """An executor on the host that is offered."""
    address, port, key, known = os.environ[OFFERED].split("\n")
    return SshExecutor(repository, Route(address, int(port), "root", Keys((Path(key),)), KnownHosts([known])), now)
