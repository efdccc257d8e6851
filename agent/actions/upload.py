"""Archives for hosts, made once for all that have the same former release, and sent while they are made."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import BinaryIO

from agent.actions.release import LINK, Source
from agent.deploy import tarball
from agent.deploy.commands import COMPLETE, gone_list
from agent.deploy.delta import Delta
from agent.errors import AgentError, EnvironmentFault

_CHUNK = 1024 * 1024
_READY = 4 * _CHUNK  # bytes after which readers are woken


class Growing:
    """A file that one thread writes and any number read at the same time, each from its beginning."""

    def __init__(self, path: Path, parts: Iterable[bytes]) -> None:
        self._path = path
        self._parts = parts
        self._changed = Condition()
        self._size = 0
        self._fault: AgentError | None = None
        self._is_whole = False
        Thread(target=self._fill, name="upload", daemon=True).start()

    @property
    def size(self) -> int:
        """Bytes, so far."""
        return self._size

    def chunks(self) -> Iterator[bytes]:
        """All of it, piece by piece. Raises EnvironmentFault if it cannot be made."""
        at = 0
        while True:
            with self._changed:
                while not (self._size > at or self._is_whole or self._fault):
                    self._changed.wait()
                if self._fault:
                    raise self._fault
                end, is_whole = self._size, self._is_whole
            with self._path.open("rb") as file:
                while at < end:
                    piece = os.pread(file.fileno(), min(_CHUNK, end - at), at)
                    at += len(piece)
                    yield piece
            if is_whole and at >= self._size:
                return

    def _fill(self) -> None:
        try:
            with self._path.open("wb", _CHUNK) as file:
                self._write(file)
            self._tell(self._path.stat().st_size, is_whole=True)
        except OSError as error:
            self._fail(EnvironmentFault(f"{self._path} cannot be written: {error.strerror}", hint="is the disk full?"))
        except AgentError as error:
            self._fail(error)

    def _write(self, file: BinaryIO) -> None:
        written = 0
        for part in self._parts:
            file.write(part)
            written += len(part)
            if written - self._size >= _READY:
                file.flush()
                self._tell(written)

    def _tell(self, size: int, *, is_whole: bool = False) -> None:
        with self._changed:
            self._size, self._is_whole = size, is_whole
            self._changed.notify_all()

    def _fail(self, fault: AgentError) -> None:
        with self._changed:
            self._fault = fault
            self._changed.notify_all()


class Upload:
    """What travels to a host. `former`: the release it is the difference to, "" is none; `gone`: what to remove of that first."""

    def __init__(self, delta: Delta, former: str, archive: Growing) -> None:
        self.former = former
        self.gone = gone_list(delta.gone)
        self.empties = delta.empties
        self.files = len(delta.sent)
        self.archive = archive


class Uploads:
    """The uploads of one release. Safe from several threads."""

    def __init__(self, source: Source, directory: Path, mtime: int) -> None:
        self._source = source
        self._directory = directory
        self._mtime = mtime
        self._made: dict[str, Upload] = {}
        self._lock = Lock()

    def get(self, former: str) -> Upload:
        """For a host that has the release `former` ("" is none). Raises EnvironmentFault."""
        with self._lock:
            if former not in self._made:
                self._made[former] = self._make(former)
            return self._made[former]

    def _make(self, former: str) -> Upload:
        found = self._source.against(former) if former else None
        if former and found is None:
            return self._made.get("") or self._made.setdefault("", self._make(""))
        delta = found or Delta(tuple(sorted(self._source.files())), ())
        archive = Growing(self._directory / f"upload-{len(self._made)}.tar", self._parts(delta.sent))
        return Upload(delta, former, archive)

    def _parts(self, paths: Sequence[str]) -> Iterator[bytes]:
        for path, mode, size, content in self._source.contents(paths):
            if mode == LINK:
                yield tarball.link(path, b"".join(content).decode(errors="surrogateescape"), self._mtime)
            else:
                yield tarball.head(path, mode, size, self._mtime)
                yield from content
                yield tarball.padding(size)
        yield tarball.head(COMPLETE, "100644", 0, self._mtime)
        yield tarball.END
