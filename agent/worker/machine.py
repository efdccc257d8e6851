"""The machine-wide limit on actions: one lock file per place, so that a killed worker gives its places back by dying."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

PAUSE = 0.1  # seconds between looks for a free place


class Places:
    """At most `count` attempts at once on this machine, over all repositories that share `directory`; 0: no limit."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory = directory
        self._count = count

    @contextmanager
    def one(self, stop: Event) -> Iterator[bool]:
        """Wait for a place and hold it; False if `stop` was set before there was one."""
        if not self._count:
            yield True
            return
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        place = self._take(stop)
        try:
            yield place >= 0
        finally:
            if place >= 0:
                os.close(place)

    def _take(self, stop: Event) -> int:
        while True:
            for number in range(self._count):
                file = os.open(self._directory / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(file)
                else:
                    return file
            if stop.wait(PAUSE):
                return -1
