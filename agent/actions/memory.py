"""What an attempt remembers of its work elsewhere, so that a worker that comes after a crash goes on with it."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from agent.errors import EnvironmentFault
from agent.executors.base import LogSink

LINE = 64 * 1024  # bytes
_BEGUN = "begun"


class Unknown(Exception):
    """What must not be done twice was begun, and nobody heard how it ended."""


class Memory:
    """Texts by key, in a file of the control directory. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}

    def get(self, key: str) -> str:
        """What is remembered; empty if nothing is."""
        return self._known.get(key, "")

    def put(self, key: str, value: str) -> str:
        """Remember it from now on, whatever happens; the value. Raises EnvironmentFault."""
        self._known[key] = value
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("w") as file:
                json.dump(self._known, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise EnvironmentFault(f"{self._path}: {error.strerror}", hint="is the disk full?") from error
        return value

    def once(self, key: str, make: Callable[[], str]) -> str:
        """The remembered value, else what `make` gives; made again only by a crash before it could be remembered."""
        return self.get(key) or self.put(key, make())

    def never_twice(self, key: str, make: Callable[[], str]) -> str:
        """The same for what must not be made again. Raises Unknown if it was begun and a crash came in between.

        An EnvironmentFault of `make` means that it was surely not done; where nobody can tell, it raises Unknown itself.
        """
        if self.get(key) == _BEGUN:
            raise Unknown("the agent ended before there was an answer")
        if known := self.get(key):
            return known
        self.put(key, _BEGUN)
        try:
            return self.put(key, make())
        except EnvironmentFault:
            self.put(key, "")
            raise


class KeptLog:
    """The log of work elsewhere. It stands in a file first: after a crash that is said again as it is, and the log goes on.

    Of an output, which is read again from its beginning, the lines that the file has already are left out. Safe from several
    threads.
    """

    def __init__(self, path: Path, sink: LogSink) -> None:
        """Goes on with the file if there is one. Raises EnvironmentFault."""
        self._sink = sink
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        try:
            self._file = path.open("ab+")
        except OSError as error:
            raise EnvironmentFault(f"{path}: {error.strerror}", hint="is the disk full?") from error
        self._resume()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def say(self, text: str) -> None:
        """A line of ours."""
        self._add("", text)

    def output(self, source: str, place: str = "") -> "Output":
        """Takes the lines of an output from its first one on, whatever was said before; each begins with the place, if any."""
        return Output(self, source, self._counts[source], f"{place}: " if place else "")

    def _add(self, source: str, text: str) -> None:
        whole = " ".join(text.splitlines())
        with self._lock:
            self._file.write(f"{source}\t{whole}\n".encode())
            self._file.flush()
            self._sink.write(f"{whole}\n".encode())

    def _resume(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        os.ftruncate(self._file.fileno(), len(whole))
        for line in whole.splitlines():
            source, _, text = line.partition(b"\t")
            self._counts[source.decode()] += 1
            self._sink.write(text + b"\n")


class Output:
    """One output of work elsewhere, such as the log of a build."""

    def __init__(self, log: KeptLog, source: str, known: int, prefix: str) -> None:
        self._log = log
        self._source = source
        self._known = known
        self._prefix = prefix
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """More of it, cut anywhere; a line that is too long becomes several."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LINE:
            lines, self._rest = [*lines, self._rest[:LINE]], self._rest[LINE:]
        for line in lines:
            self.line(line.decode(errors="replace"))

    def finish(self) -> None:
        """It has ended, perhaps without a line break."""
        if self._rest:
            self.feed(b"\n")

    def line(self, text: str) -> None:
        """The next line of it."""
        if self._known:
            self._known -= 1
        else:
            self._log._add(self._source, self._prefix + text)
