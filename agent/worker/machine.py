"""The machine-wide limit on actions: one lock file per place, so that a killed worker gives its places back by dying."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from agent.errors import EnvironmentFault

PAUSE = 0.1  # seconds between looks for a free place


class Places:
    """At most `count` attempts at once on this machine, over all repositories that share `directory`; 0: no limit."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory = directory
        self._count = count

    @contextmanager
    def one(self, stop: Event) -> Iterator[bool]:
        """Wait for a place and hold it; False if `stop` was set before there was one. Raises EnvironmentFault."""
        place = self._take(stop) if self._count else -1
        try:
            yield place >= 0 or not self._count
        finally:
            if place >= 0:
                os.close(place)

    def _take(self, stop: Event) -> int:
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            while True:
                for number in range(self._count):
                    if (place := _hold(self._directory / str(number))) >= 0:
                        return place
                if stop.wait(PAUSE):
                    return -1
        except OSError as error:
            raise EnvironmentFault(
                f"no place for an action can be taken in {self._directory}: {error.strerror}",
                hint="root makes it for all users: install -d -m 1777 " + str(self._directory),
            ) from error


def _hold(path: Path) -> int:
    """The locked file, or -1 if somebody else holds it. Opened for reading: it may be another user's."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            return -1
        raise
    return file
