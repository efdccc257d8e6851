"""One host as the executor sees it: a connection kept open, the supervisor put in place, commands that may be repeated."""

import shlex
import time
from collections.abc import Callable, Iterable
from threading import Lock
from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.executors.route import Route
from agent.executors.sshclient import Answer, Connection, Unreachable, connect
from agent.executors.supervisor import HELLO, NAME, SCRIPT

_THEN = "--then--"  # between what a script answers and the greeting
FIRST, LONGEST = 0.1, 5.0  # seconds between two attempts to reach a host again


class Home(NamedTuple):
    """Where things are on the host; `memory` is empty where there is no file system in memory; `uptime` in seconds."""

    root: str
    memory: str
    uptime: int = -1


class Remote:
    """A host. Safe from several threads."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._lock = Lock()
        self._greeting = Lock()
        self._connection: Connection | None = None
        self._greeted: Connection | None = None
        self._home: Home | None = None

    @property
    def home(self) -> Home:
        """Where jobs live there. Connects if need be; raises EnvironmentFault."""
        return self._home or self.open()[1]

    def connection(self) -> Connection:
        """The open connection, made anew if need be: for what needs no supervisor. Raises EnvironmentFault."""
        with self._lock:
            if not (self._connection and self._connection.is_open):
                self._connection = connect(self.route)
            return self._connection

    def open(self) -> tuple[Connection, Home]:
        """The open connection, with the supervisor in place. Raises EnvironmentFault."""
        with self._greeting:
            connection = self.connection()
            if self._home is None or self._greeted is not connection:
                self._home = _greet(connection, self.route)  # what goes on beside us on the connection is well if this is not
                self._greeted = connection
            return connection, self._home

    def call(self, script: str, stdin: Callable[[], Iterable[bytes | memoryview]] = tuple, timeout: float = 60.0) -> Answer:
        """Run a short script, which needs no supervisor; what a job needs to know is asked with the first one on a connection.

        Run a second time on a new connection if the first one is lost. Raises EnvironmentFault.
        """
        return _twice(lambda: self._call(script, stdin, timeout))

    def _call(self, script: str, stdin: Callable[[], Iterable[bytes | memoryview]], timeout: float) -> Answer:
        connection = self.connection()
        if self._greeted is connection or stdin is not tuple:
            return connection.run(f"sh -c {shlex.quote(script)}", stdin(), timeout=timeout)
        both = f"(\n{script}\n)\ncode=$?; echo; echo '{_THEN}'\n(\n{HELLO}\n) 2>/dev/null\nexit $code"
        answer = connection.run(f"sh -c {shlex.quote(both)}", timeout=timeout)
        output, then, said = answer.output.rpartition(f"\n{_THEN}\n".encode())
        home, is_ready = _home(said)
        with self._greeting:
            if self._greeted is not connection:  # a job, if one comes, greets a host that is not ready for it
                self._home, self._greeted = home if then and is_ready else None, connection
        return answer._replace(output=output) if then else answer

    def ask(self, *words: str, stdin: Callable[[], Iterable[bytes]] = tuple, timeout: float = 60.0) -> Answer:
        """What the supervisor answers; asked a second time on a new connection if the first one is lost.

        Raises EnvironmentFault if it cannot be asked, or says that it failed.
        """
        return _twice(lambda: self._ask(words, stdin, timeout))

    def insist(self, patience: Callable[[], float], *words: str) -> Answer:
        """As `ask`, until the host has not answered for `patience()` seconds. Raises the last Unreachable then."""
        return persist(lambda: self.ask(*words), patience)

    def follow(self, words: tuple[str, ...], seconds: int, take: Callable[[bytes], None]) -> bytes:
        """Hand on the log of a job; the state as the supervisor spells it. `words`: a command that lasts `seconds`.

        Raises EnvironmentFault; Unreachable where the host broke off without a word on the job.
        """
        connection, home = self.open()
        answer = connection.follow(_command(home, words), take, timeout=seconds + 30.0)
        if answer.status:
            said = answer.errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise Unreachable(f"{self.route.place}: it broke off: {said or f'exit code {answer.status}'}")
        return answer.errors

    def close(self, idle: float = 0.0) -> None:
        """Hang up if nothing was said for `idle` seconds."""
        with self._lock:
            if self._connection and time.monotonic() - self._connection.used_at >= idle:
                self._connection.close()
                self._connection = None

    def _ask(self, words: tuple[str, ...], stdin: Callable[[], Iterable[bytes]], timeout: float) -> Answer:
        connection, home = self.open()
        answer = connection.run(_command(home, words), stdin(), timeout=timeout)
        if answer.status:
            said = answer.errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise EnvironmentFault(
                f"{self.route.place}: `{words[0]}` failed there: {said or f'exit code {answer.status}'}",
                hint="is the disk full, and are sh and tar there?",
            )
        return answer


def _twice(do: Callable[[], Answer]) -> Answer:
    try:
        return do()
    except Unreachable:
        return do()


def persist(do: Callable[[], "Answer"], patience: Callable[[], float]) -> "Answer":
    """Do it until the host has been out of reach for `patience()` seconds. Raises the last Unreachable then."""
    began, pause = time.monotonic(), FIRST
    while True:
        try:
            return do()
        except Unreachable:
            if time.monotonic() - began >= patience():
                raise
        time.sleep(pause)
        pause = min(pause * 2, LONGEST)


def _greet(connection: Connection, route: Route) -> Home:
    answer = connection.run("sh", [HELLO.encode()])
    home, is_ready = _home(answer.output)
    if answer.status or not home:
        why = answer.errors.decode(errors="replace").strip() or "it runs no `sh`"
        raise EnvironmentFault(f"{route.place} cannot run jobs: {why}", hint="its home or /tmp must be writable for that user")
    if not is_ready:
        _put_supervisor(connection, home, route)
    return home


def _home(answer: bytes) -> tuple[Home | None, bool]:
    """What HELLO was answered with, if it was, and whether the supervisor is there."""
    said = dict(line.partition(" ")[::2] for line in answer.decode(errors="replace").splitlines())
    home = Home(said["root"], said.get("memory", ""), int(said.get("uptime") or -1)) if "root" in said else None
    return home, said.get("ready") == NAME


def _put_supervisor(connection: Connection, home: Home, route: Route) -> None:
    path = shlex.quote(f"{home.root}/bin/{NAME}")
    command = f"sh -c {shlex.quote(f'cat >{path}.$$ && mv {path}.$$ {path}')}"
    answer = connection.run(command, [SCRIPT.encode()])
    if answer.status:
        raise EnvironmentFault(f"{route.place}: {answer.errors.decode(errors='replace').strip()}", hint="is the disk full?")


def _command(home: Home, words: tuple[str, ...]) -> str:
    return " ".join(shlex.quote(word) for word in ("sh", f"{home.root}/bin/{NAME}", *words))
