"""The sink of an attempt's output: masked, counted, written to a file, followed line by line.

The file is a prefix of the whole masked output, perhaps with one last line of ours. That is all a resume needs: the executor
replays from the first byte, masking is deterministic, and so the sink drops as many masked bytes as the file already holds.
"""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Protocol, Self

OURS = b"[git-pipeline] "  # starts the one line of ours that may end a file
LONGEST_LINE = 16 * 1024  # bytes; what is longer is handed on in pieces
TAIL = 64 * 1024


class Masker(Protocol):
    """Takes secrets out of a stream. What it returns in all must not depend on how the input was cut into pieces."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes:
        """What was held back because it could have become a secret."""


class Unmasked:
    """A masker with nothing to hide."""

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class LogFile:
    """Writes output to `path` up to `cap` bytes; a full disk or a cap is said once, at the end; counting goes on.

    `on_line` gets every complete line that was not there before a resume (UTF-8, what is not becomes U+FFFD), `on_notice` the
    lines of ours. The disk never raises into the executor. `lines` and `bytes` are those of the whole masked output.
    Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        path: Path,
        *,
        mask: Masker | None = None,
        cap: int = 1024**3,
        on_line: Callable[[str], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self.bytes = 0
        self.lines = 0
        self.fault = ""
        self._path = path
        self._mask = mask or Unmasked()
        self._cap = cap
        self._on_line = on_line
        self._on_notice = on_notice
        self._lock = Lock()
        self._partial = b""
        self._last = b"\n"
        self._seen = 0  # masked bytes of this replay
        self._stored = 0
        self._last_stored = b""
        self._former_last_line = b""
        self._file = self._open()
        self._held = self.bytes = self._stored

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Take output of the job, as it comes."""
        with self._lock:
            self._take(self._mask.feed(data))

    def notice(self, text: str) -> None:
        """Hand one line of ours to those who follow; it is not part of the file."""
        if self._on_notice:
            self._on_notice(text)

    def close(self) -> None:
        """Flush what is held back, say what was cut, and make the file durable. Safe twice."""
        with self._lock:
            if self._file < 0:
                return
            self._take(self._mask.finish())
            if self._partial:
                self._hand_on(self._partial)
            self.lines += self._last != b"\n"
            self._append_last_line()
            self._sync()

    def _take(self, data: bytes) -> None:
        known = min(len(data), max(0, self._held - self._seen))
        self._seen += len(data)
        fresh = data[known:]
        if not fresh:
            return
        self.bytes += len(fresh)
        self.lines += fresh.count(b"\n")
        self._last = fresh[-1:]
        self._store(fresh[: max(0, self._cap - self._stored)])
        if self._on_line:
            self._follow(fresh)

    def _follow(self, fresh: bytes) -> None:
        *complete, rest = (self._partial + fresh).split(b"\n")
        for line in complete:
            self._hand_on(line)
        while len(rest) > LONGEST_LINE:
            self._hand_on(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._partial = rest

    def _hand_on(self, line: bytes) -> None:
        for start in range(0, len(line) or 1, LONGEST_LINE):
            if self._on_line:
                self._on_line(line[start : start + LONGEST_LINE].decode(errors="replace"))

    def _store(self, data: bytes) -> None:
        while data and not self.fault:
            try:
                written = os.write(self._file, data)
            except OSError as error:
                self._fail(error)
                return
            self._stored += written
            self._last_stored = data[written - 1 : written]
            data = data[written:]

    def _fail(self, error: OSError) -> None:
        self.fault = error.strerror or str(error)
        self.notice(f"the log {self._path.name} is incomplete from byte {self._stored} on: {self.fault}")

    def _append_last_line(self) -> None:
        text = self._last_line()
        try:
            os.write(self._file, text)
        except OSError as error:
            self.fault = self.fault or str(error)

    def _last_line(self) -> bytes:
        if self._seen == 0 and self._former_last_line:
            return self._former_last_line
        if not self.fault and self.bytes == self._stored:
            return b""
        why = self.fault or f"one action may write {self._cap} bytes"
        text = f"the log is cut here, {self.bytes - self._stored} of {self.bytes} bytes are left out: {why}\n"
        return (b"" if self._stored and self._last_stored == b"\n" else b"\n") + OURS + text.encode()

    def _sync(self) -> None:
        try:
            if self.bytes > self._held:
                os.fdatasync(self._file)
            os.close(self._file)
        except OSError as error:
            self.fault = self.fault or str(error)
        self._file = -1

    def _open(self) -> int:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            self._fail(error)
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        size = os.fstat(file).st_size
        if size:
            self._resume(file, size)
        return file

    def _resume(self, file: int, size: int) -> None:
        """Cut off what a former close added: any prefix of the output will do, as the replay brings the rest."""
        tail = os.pread(file, TAIL, max(0, size - TAIL))
        start = tail.rfind(b"\n" + OURS)
        if start >= 0 and tail.find(b"\n", start + 1) == len(tail) - 1:
            self._former_last_line = tail[start:]
            size -= len(tail) - start
            os.ftruncate(file, size)
        self._stored = size
        self._count(file)

    def _count(self, file: int) -> None:
        offset, tail = 0, b"\n"
        while data := os.pread(file, 1024**2, offset):
            offset += len(data)
            self.lines += data.count(b"\n")
            tail = data
        self._last = self._last_stored = tail[-1:]
        self._partial = tail.rpartition(b"\n")[2][-LONGEST_LINE:] if self._on_line else b""
