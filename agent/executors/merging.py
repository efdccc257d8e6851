"""One log of many hosts: whole lines, each behind the name of its host, kept so that a resume goes on at the byte.

The order in which hosts speak is nobody's to repeat, so what was merged is kept in a file: a later worker replays it, and
reads in it how far the log of each host had come. `name | line` is a whole line; `name : piece` one without its end.
"""

import os
from pathlib import Path
from threading import Lock

from agent.executors.base import LogSink

LONGEST = 64 * 1024  # bytes; what is longer is handed on in pieces
WHOLE, PIECE = b" | ", b" : "


class Merged:
    """The merged log of one attempt. Safe from several threads, one per host. Use as a context manager."""

    def __init__(self, path: Path, log: LogSink) -> None:
        self._log = log
        self._lock = Lock()
        self._offsets: dict[bytes, int] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._replay()

    def __enter__(self) -> "Merged":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def host(self, name: str) -> "OfHost":
        """The sink of one host."""
        return OfHost(self, name.encode(), self._offsets.get(name.encode(), 0))

    def notice(self, text: str) -> None:
        """See LogSink."""
        with self._lock:
            self._log.notice(text)

    def add(self, lines: list[bytes]) -> None:
        """Whole lines, with their names."""
        text = b"".join(lines)
        with self._lock:
            rest = memoryview(text)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._log.write(text)

    def _replay(self) -> None:
        """Hand on what a former worker merged; half a line at the end is cut off, the host will bring it again."""
        end, rest = 0, b""
        while data := os.pread(self._file, 1 << 20, end + len(rest)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._count(line)
                end += len(line) + 1
            self._log.write(b"".join(line + b"\n" for line in lines))
        os.ftruncate(self._file, end)

    def _count(self, line: bytes) -> None:
        name, _, rest = line.partition(b" ")
        self._offsets[name] = self._offsets.get(name, 0) + len(rest) - 2 + rest.startswith(b"|")


class OfHost:
    """A LogSink for the output of one host, from byte `offset` on."""

    def __init__(self, merged: Merged, name: bytes, offset: int) -> None:
        self.offset = offset
        self._merged = merged
        self._name = name
        self._partial = b""

    def write(self, data: bytes) -> None:
        """See LogSink."""
        *lines, rest = (self._partial + data).split(b"\n")
        out = [self._name + WHOLE + line + b"\n" for line in lines]
        while len(rest) > LONGEST:
            out.append(self._name + PIECE + rest[:LONGEST] + b"\n")
            rest = rest[LONGEST:]
        self._partial = rest
        if out:
            self._merged.add(out)

    def notice(self, text: str) -> None:
        """See LogSink."""
        self._merged.notice(f"{self._name.decode()}: {text}")

    def finish(self) -> None:
        """The host has ended: what has no end of line is handed on too."""
        if self._partial:
            self._merged.add([self._name + PIECE + self._partial + b"\n"])
            self._partial = b""
