"""Shows the pusher what goes on: tails the feeds of some executions, until each says that one may leave.

Following is all that Ctrl-C, a dropped connection or a closed terminal end; the execution goes on.
"""

import os
import select
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.worker import wake
from agent.worker.terminal import sanitise

LEAVE = b"\x04"  # alone on a line (worker/feed.py)
QUICK, SLOW = 0.01, 0.1  # seconds between two looks: after news, and after long silence
LOOK = 1.0  # seconds between two looks for the worker
GRACE = 15.0  # seconds that a worker which was just started may need until it listens
GONE = 3.0  # seconds of absence after which one that did listen is gone: another may be taking over


class Followed(NamedTuple):
    """An execution to follow: its id, how people call it (release #42), and from which byte of its feed on."""

    id: str
    label: str
    start: int = 0


class Output:
    """Where lines go: a descriptor, and whether anybody still reads it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, 0)

    def write(self, lines: Sequence[str]) -> None:
        """Write whole lines at once. Raises OSError when nobody reads any more."""
        data = "".join(f"{line}\n" for line in lines).encode(errors="replace")
        while data:
            data = data[os.write(self._descriptor, data) :]

    @property
    def is_gone(self) -> bool:
        return any(event & (select.POLLERR | select.POLLNVAL) for _, event in self._poll.poll(0))


def follow(
    directory: str,
    executions: Sequence[Followed],
    output: Output,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> bool:
    """Write the feeds of `<repo>.git/pipeline/` to `output` as they grow; returns when all of them let go or nobody reads.

    False if the worker died before; what to run is then written too. `clock` counts seconds, `sleep` waits for some.
    """
    prefixed = len(executions) > 1
    feeds = [
        _Feed(f"{directory}/executions/{one.id}/feed", f"[{one.label}] " if prefixed else "", one.start) for one in executions
    ]
    life = _Life(directory, clock)
    pause = QUICK
    try:
        while any(not feed.is_over for feed in feeds) and not output.is_gone:
            lines = [line for feed in feeds for line in feed.read()]
            if lines:
                output.write(lines)
                pause = QUICK
            elif not life.goes_on():
                return _dead(feeds, directory, output)
            else:
                pause = min(SLOW, pause * 1.1)
                sleep(pause)
    except OSError:
        pass  # nobody reads any more
    finally:
        for feed in feeds:
            feed.close()
    return True


def let_go(directory: str, execution: str) -> int:
    """The byte of a feed behind which followers were last told that they may leave; 0 if that has not been."""
    try:
        with open(f"{directory}/executions/{execution}/feed", "rb") as file:  # noqa: PTH123 - pathlib costs every push its import
            said = b"\n" + file.read()
    except OSError:
        return 0
    found = said.rfind(b"\n" + LEAVE + b"\n")
    return found + len(LEAVE) + 1 if found >= 0 else 0


def _dead(feeds: Sequence["_Feed"], directory: str, output: Output) -> bool:
    lines = [line for feed in feeds for line in feed.read()]  # what it wrote between the last look and its end
    if all(feed.is_over for feed in feeds):
        output.write(lines)
        return True
    lines.append("git-pipeline: the worker on the server is gone before the end; nothing that was accepted is lost.")
    lines.append(f"git-pipeline: to go on, run there: git pipeline resume {directory.removesuffix('/pipeline')}")
    output.write(lines)
    return False


class _Feed:
    """One file that grows; it may not exist yet."""

    def __init__(self, path: str, prefix: str, start: int = 0) -> None:
        self._path = path
        self._prefix = prefix
        self._start = start
        self._file = -1
        self._rest = b""
        self.is_over = False

    def read(self) -> list[str]:
        """The lines that were completed since the last call."""
        if self.is_over or not self._open():
            return []
        *whole, self._rest = (self._rest + os.read(self._file, 256 * 1024)).split(b"\n")
        if LEAVE in whole:
            whole = whole[: whole.index(LEAVE)]
            self.is_over = True
        return [self._prefix + sanitise(line.decode(errors="replace")) for line in whole]

    def _open(self) -> bool:
        if self._file < 0:
            try:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                os.lseek(self._file, self._start, os.SEEK_SET)
            except FileNotFoundError:
                return False
        return True

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)


class _Life:
    """Whether there is a worker. Looks once a second; the FIFO tells, as touching the lock could keep a worker from starting."""

    def __init__(self, directory: str, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._seen = self._looked = clock()
        self._grace = GRACE

    def goes_on(self) -> bool:
        now = self._clock()
        if now - self._looked >= LOOK:
            self._looked = now
            if wake.is_heard(self._directory):
                self._seen = now
                self._grace = GONE
        return now - self._seen < self._grace
