"""Connections to hosts: the one home of paramiko.

Stock paramiko waits for Nagle's algorithm at every step, prefers slow ciphers and knows little of known_hosts files; here a
connection is set up by hand, so that it is quick and the host key is judged before anything is said to the host.
"""

import contextlib
import io
import logging
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko.common import MSG_CHANNEL_WINDOW_ADJUST
from paramiko.kex_curve25519 import KexCurve25519

from agent.errors import EnvironmentFault
from agent.executors import hostkeys
from agent.executors.packets import Packets, send, take_more
from agent.executors.route import Keys, Route

CHANNELS = 10  # at once on one connection: what sshd allows unless told otherwise
CONNECTS = 8  # at once to one machine; more and sshd starts to drop them
TRIES = 4  # when the host hangs up before it has said its name
CHUNK = 256 * 1024
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_CURVE = "curve25519-sha256"
_AGAIN = "Error reading SSH protocol banner"

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs tracebacks of what it also raises
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Unreachable(EnvironmentFault):
    """The host does not answer, or the connection is lost: it may be otherwise later."""


class HostKeyFault(EnvironmentFault):
    """The host is not the one that it should be."""


class LoginFault(EnvironmentFault):
    """The host does not let us in."""


class Answer(NamedTuple):
    """What a command has said and how it ended."""

    status: int
    output: bytes
    errors: bytes


class _Quick:
    """A socket that acknowledges at once: Linux forgets TCP_QUICKACK after every read, and the far side waits for us.

    It is read by one thread, in small pieces of what came at once.
    """

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._came, self._at = b"", 0

    def recv(self, size: int) -> bytes:
        if self._at == len(self._came):
            self._came, self._at = self._inner.recv(CHUNK), 0
            with contextlib.suppress(OSError, AttributeError):
                self._inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        data = self._came[self._at : self._at + size]
        self._at += len(data)
        return data

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a socket can
        return getattr(self._inner, name)


def _named_twice(kexes: tuple[str, ...]) -> tuple[str, ...]:
    """With the name that RFC 8731 gave to a key exchange beside the one that it had before: some servers know only the later."""
    return tuple(name for each in kexes for name in ((_CURVE, each) if each == f"{_CURVE}@libssh.org" else (each,)))


class _Transport(paramiko.Transport):
    """Judges the host's key before it is answered, and again whenever keys are changed."""

    _kex_info = {**paramiko.Transport._kex_info, _CURVE: KexCurve25519}  # type: ignore[attr-defined]
    _preferred_kex = _named_twice(paramiko.Transport._preferred_kex)  # type: ignore[attr-defined]

    def __init__(self, sock: Any, route: Route) -> None:  # noqa: ANN401 - a socket, a channel or a process
        super().__init__(sock, packetizer_class=Packets)
        self._route = route
        self._shown = b""
        self.banner_timeout = self.handshake_timeout = self.auth_timeout = max(route.timeout, 10.0)
        known = route.known.of(route.host, route.port)
        options = self.get_security_options()
        options.ciphers = [name for name in _CIPHERS if name in self._cipher_info]  # type: ignore[attr-defined]
        if known.algorithms:
            options.key_types = [name for name in known.algorithms if name in self._key_info]  # type: ignore[attr-defined]
        self._known = known

    _channel_handler_table = {**paramiko.Transport._channel_handler_table, MSG_CHANNEL_WINDOW_ADJUST: take_more}  # type: ignore[attr-defined]

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        if self._shown and host_key != self._shown:
            raise HostKeyFault(f"{self._route.place}: the host has changed its key in the middle of a connection")
        why = hostkeys.complaint(self._known, self._route.host, host_key, time.time(), _verify)
        if why:
            raise HostKeyFault(f"{self._route.place} is not trusted: {why}", hint=_advice(self._route, host_key, self._known))
        super()._verify_key(host_key, sig)  # type: ignore[misc]
        self._shown = host_key


class _Proxy(_Quick):
    """The standard streams of a command, as a socket; the command ends with it."""

    def __init__(self, command: str) -> None:
        here, there = socket.socketpair()
        with there:
            words, end = ["sh", "-c", f"exec {command}"], there.fileno()
            self._process = subprocess.Popen(words, stdin=end, stdout=end, stderr=subprocess.DEVNULL, start_new_session=True)
        super().__init__(here)

    def close(self) -> None:
        self._inner.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()


class _Agent(paramiko.agent.AgentSSH):
    """An ssh-agent at the far end of a socket."""

    def __init__(self, door: socket.socket) -> None:
        super().__init__()
        self._connect(door)  # type: ignore[attr-defined]
        for key in self.get_keys():
            if key.name.endswith(hostkeys.CERTIFICATE):  # paramiko would show the key in it instead
                key.load_certificate(paramiko.Message(key.blob))


class Connection:
    """An open connection to one host. Any number of threads may run commands; ten run at once."""

    def __init__(self, transport: paramiko.Transport, route: Route, beneath: "Connection | None" = None) -> None:
        self._transport = transport
        self._route = route
        self._beneath = beneath
        self._places = threading.BoundedSemaphore(CHANNELS)
        self._opening = threading.Lock()
        self.used_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        return self._transport.is_active()

    def run(self, command: str, stdin: Iterable[bytes | memoryview] = (), *, timeout: float = 60.0) -> Answer:
        """Run a command to its end, which must print little. `timeout`: seconds without any progress. Raises Unreachable."""
        with self.channel(command, timeout) as channel, self._losing():
            send(channel, stdin)
            output = b"".join(iter(lambda: channel.recv(CHUNK), b""))
            errors = b"".join(iter(lambda: channel.recv_stderr(CHUNK), b""))
            return Answer(self._status(channel, timeout), output, errors)

    def follow(self, command: str, take: Callable[[bytes], None], *, timeout: float) -> Answer:
        """Run a command and hand on its output as it comes. `timeout`: seconds in which it must end. Raises Unreachable."""
        end = time.monotonic() + timeout
        with self.channel(command, timeout) as channel, self._losing():
            channel.settimeout(timeout)
            while data := channel.recv(CHUNK):
                take(data)
                channel.settimeout(max(0.1, end - time.monotonic()))
            errors = b"".join(iter(lambda: channel.recv_stderr(CHUNK), b""))
            return Answer(self._status(channel, timeout), b"", errors)

    @contextlib.contextmanager
    def channel(self, command: str, timeout: float) -> Iterator[paramiko.Channel]:
        """A command that runs, to read from and write to. Raises Unreachable."""
        self.used_at = time.monotonic()
        with self._places:
            with self._losing():
                channel = self._session(timeout)
                channel.settimeout(timeout)
            try:
                with self._losing():
                    channel.exec_command(command)
                yield channel
            finally:
                channel.close()
                self.used_at = time.monotonic()

    def tunnel(self, host: str, port: int, timeout: float) -> paramiko.Channel:
        """A connection from that host to a further one. Raises Unreachable."""
        try:
            return self._transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unreachable(f"{host}:{port} cannot be reached from {self._route.place}: {_told(error)}") from error

    def close(self) -> None:
        """Hang up. Safe twice."""
        self._transport.close()
        if self._beneath:
            self._beneath.close()

    def _session(self, timeout: float) -> paramiko.Channel:
        """A place on the host. sshd says no while it counts one that was just closed, or allows few: asked again then."""
        end, pause = time.monotonic() + timeout, 0.01
        while True:
            try:
                with self._opening:  # paramiko keeps one reason of a refusal, for whoever looks first
                    return self._transport.open_session(timeout=timeout)
            except paramiko.ChannelException:
                if time.monotonic() >= end:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _status(self, channel: paramiko.Channel, timeout: float) -> int:
        channel.status_event.wait(timeout)
        if channel.exit_status < 0:  # -1 until the host has told it: the connection is gone, or the command was killed
            raise Unreachable(f"{self._route.place}: the connection was lost")
        return channel.exit_status

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, paramiko.SSHException, OSError, EOFError) as error:
            if not isinstance(error, paramiko.ChannelException):  # which says no to one channel; the connection is well
                self._transport.close()  # paramiko itself does not notice a host that says nothing any more
            raise Unreachable(f"{self._route.place}: the connection was lost: {_told(error)}") from error


_gates: defaultdict[str, threading.BoundedSemaphore] = defaultdict(lambda: threading.BoundedSemaphore(CONNECTS))
_loaded: dict[tuple[Path, tuple[int, ...]], paramiko.PKey] = {}
_loading = threading.Lock()


def connect(route: Route) -> Connection:
    """Connect, judge the host's key, log in. Raises Unreachable, HostKeyFault, LoginFault or EnvironmentFault."""
    with _offered(route.keys) as keys, _gates[route.door]:
        for attempt in range(1, TRIES + 1):
            try:
                return _connect(route, keys)
            except paramiko.SSHException as error:
                if attempt == TRIES or _AGAIN not in str(error):
                    raise _unreachable(route, error) from error
                time.sleep(random.uniform(0.1, 0.4) * 2**attempt)
            except (OSError, EOFError) as error:
                raise _unreachable(route, error) from error
    raise AssertionError("unreachable")


def _connect(route: Route, keys: tuple[paramiko.PKey, ...]) -> Connection:
    beneath = _connect(route.via, keys) if route.via else None
    sock: Any = None
    try:
        sock = beneath.tunnel(route.host, route.port, route.timeout) if beneath else _dial(route)
        transport = _Transport(sock, route)
        try:
            transport.start_client(timeout=route.timeout * 3)
            transport.set_keepalive(15)
            _log_in(transport, route, keys)
        except BaseException:
            transport.close()
            raise
        return Connection(transport, route, beneath)
    except BaseException:
        if sock is not None:
            sock.close()
        if beneath:
            beneath.close()
        raise


def _dial(route: Route) -> Any:  # noqa: ANN401 - what paramiko takes for a socket
    if route.proxy:
        return _Proxy(route.proxy)
    sock = socket.create_connection((route.host, route.port), route.timeout)
    for level, name, value in (
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
    ):
        if hasattr(socket, name):
            sock.setsockopt(level, getattr(socket, name), value)
    return _Quick(sock)


def _log_in(transport: paramiko.Transport, route: Route, keys: tuple[paramiko.PKey, ...]) -> None:
    for key in keys:
        try:
            if not transport.auth_publickey(route.user, key):
                return
        except paramiko.BadAuthenticationType as error:
            raise LoginFault(f"{route.place} lets nobody in by key", hint=f"it wants {', '.join(error.allowed_types)}") from error
        except paramiko.AuthenticationException:
            if not transport.is_active():
                raise LoginFault(f"{route.place} hung up on us", hint="does it allow as many keys as were tried?") from None
    tried = {
        "a fresh one": bool(route.keys.once),
        ", ".join(str(path) for path in route.keys.files): bool(route.keys.files),
        "those of the ssh-agent": route.keys.agent is not None,
    }
    names = ", ".join(name for name, used in tried.items() if used) or "none"
    raise LoginFault(
        f"{route.place} does not let us in", hint=f"the public key must stand in its authorized_keys; keys tried: {names}"
    )


@contextlib.contextmanager
def _offered(keys: Keys) -> Iterator[tuple[paramiko.PKey, ...]]:
    """The keys to show, in turn; those of an agent serve as long as the connection to it is open."""
    files = (*_made(keys), *(_loaded_once(path, keys) for path in keys.files))
    if not keys.agent:
        yield files
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        try:
            door.connect(str(keys.agent))
            agent = _Agent(door)
        except (OSError, paramiko.SSHException) as error:
            raise EnvironmentFault(
                f"the ssh-agent at {keys.agent} does not answer: {_told(error)}", hint="is it running?"
            ) from error
        yield (*files, *agent.get_keys())


def _made(keys: Keys) -> Iterator[paramiko.PKey]:
    if keys.once:
        private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        key = paramiko.Ed25519Key(file_obj=io.StringIO(private.decode()))
        keys.once(f"{key.get_name()} {key.get_base64()}")
        yield key


def _loaded_once(path: Path, keys: Keys) -> paramiko.PKey:
    """An encrypted key takes half a second: once for all hosts, and again when it or its certificate was renewed."""
    age = tuple(each.stat().st_mtime_ns if each.exists() else 0 for each in (path, path.with_name(f"{path.name}-cert.pub")))
    with _loading:
        if (path, age) not in _loaded:
            _loaded[path, age] = _load(path, keys)
        return _loaded[path, age]


def _load(path: Path, keys: Keys) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}", hint="the private key for the hosts is read from there") from error
    except (TypeError, ValueError, paramiko.SSHException) as error:  # encrypted, or no key at all
        if not keys.passphrase:
            raise EnvironmentFault(f"{path} cannot be used: {_told(error)}", hint="`passphrase` names its secret") from error
    try:
        return paramiko.PKey.from_path(path, keys.passphrase())  # type: ignore[arg-type]
    except (TypeError, ValueError, paramiko.SSHException) as error:
        raise EnvironmentFault(f"{path} cannot be decrypted", hint="does the secret hold its passphrase?") from error


def _verify(key: bytes, data: bytes, signature: bytes) -> bool:
    try:
        authority = paramiko.PKey.from_type_string(hostkeys.kind(key), key)
        return bool(authority.verify_ssh_sig(data, paramiko.Message(signature)))
    except (paramiko.SSHException, ValueError):
        return False


def _unreachable(route: Route, error: Exception) -> Unreachable:
    hint = "is it up, and is sshd running there?" if isinstance(error, OSError) else ""
    return Unreachable(f"{route.place} cannot be reached: {_told(error)}", hint=hint)


def _told(error: Exception) -> str:
    return (getattr(error, "strerror", "") or str(error) or type(error).__name__).rstrip(".")


def _advice(route: Route, shown: bytes, known: hostkeys.Known) -> str:
    told = f"it shows {hostkeys.kind(shown)} {hostkeys.fingerprint(shown)}"
    if known.keys or known.authorities or shown in known.revoked:
        return told
    return f"{told}; if that is right, add to `host_keys`: {hostkeys.line_of(route.host, route.port, shown)}"
