"""Archives for hosts, made once for all that have the same former release, and sent while they are made."""

import hashlib
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import BinaryIO

from agent.actions.release import LINK, File, Source
from agent.deploy import patch, tarball
from agent.deploy.commands import COMPLETE, FILES, PARTS, STEPS, SUMS, steps
from agent.deploy.delta import Delta
from agent.deploy.tarball import Data, Part
from agent.errors import AgentError, EnvironmentFault

_CHUNK = 128 * 1024
_PIECE = 1024 * 1024
_READY = 4 * 1024 * 1024  # bytes after which readers are woken


class Growing:
    """A file that one thread writes and any number read at the same time, each from its beginning: the same memory for all."""

    def __init__(self, path: Path, parts: Iterable[bytes]) -> None:
        self._path = path
        self._parts = parts
        self._changed = Condition()
        self._stretches: list[memoryview] = []
        self._size = 0
        self._fault: AgentError | None = None
        self._is_whole = False
        Thread(target=self._fill, name="upload", daemon=True).start()

    @property
    def size(self) -> int:
        """Bytes, so far."""
        return self._size

    def chunks(self) -> Iterator[memoryview]:
        """All of it, piece by piece. Raises EnvironmentFault if it cannot be made."""
        at = 0
        while True:
            with self._changed:
                while not (len(self._stretches) > at or self._is_whole or self._fault):
                    self._changed.wait()
                if self._fault:
                    raise self._fault
                found, is_whole = self._stretches[at:], self._is_whole
            for stretch in found:
                yield from (stretch[start : start + _PIECE] for start in range(0, len(stretch), _PIECE))
            at += len(found)
            if is_whole:
                return

    def _fill(self) -> None:
        try:
            with self._path.open("w+b", _CHUNK) as file:
                self._write(file)
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
                self._tell(file, written)
        self._tell(file, written, is_whole=True)

    def _tell(self, file: BinaryIO, size: int, *, is_whole: bool = False) -> None:
        file.flush()
        stretch = _stretch(file, self._size, size)
        with self._changed:
            self._stretches += stretch
            self._size, self._is_whole = size, is_whole
            self._changed.notify_all()

    def _fail(self, fault: AgentError) -> None:
        with self._changed:
            self._fault = fault
            self._changed.notify_all()


def _stretch(file: BinaryIO, start: int, end: int) -> list[memoryview]:
    """What stands between two places of a file, if anything does."""
    before = start % mmap.ALLOCATIONGRANULARITY
    if end == start:
        return []
    found = mmap.mmap(file.fileno(), end - start + before, access=mmap.ACCESS_READ, offset=start - before)
    return [memoryview(found)[before:]]


class Upload:
    """What travels to a host. `former`: the release it is the difference to, "" is none; `files`: how many are not as there."""

    def __init__(self, delta: Delta, former: str, archive: Growing) -> None:
        self.former = former
        self.files = len(delta.sent)
        self.archive = archive


class Uploads:
    """The uploads of one release. Safe from several threads."""

    def __init__(self, source: Source, directory: Path, mtime: int, shared: Sequence[str] = ()) -> None:
        """`shared`: paths that are the host's own."""
        self._source = source
        self._directory = directory
        self._mtime = mtime
        self._shared = tuple(f"{path.strip('/')}/" for path in shared)
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
        parts = self._renewed(delta, former) if former else self._members(map(_placed, self._source.contents(delta.sent)))
        archive = Growing(self._directory / f"upload-{len(self._made)}.tar", chain(parts, self._end()))
        return Upload(delta, former, archive)

    def _members(self, files: Iterable[File]) -> Iterator[bytes]:
        for path, mode, size, content in files:
            if mode == LINK:
                yield tarball.link(path, b"".join(content).decode(errors="surrogateescape"), self._mtime)
            else:
                yield tarball.head(path, mode, size, self._mtime)
                yield from content
                yield tarball.padding(size)

    def _end(self) -> Iterator[bytes]:
        yield from self._ours(COMPLETE, b"")
        yield tarball.END

    def _ours(self, name: str, content: bytes) -> Iterator[bytes]:
        return self._members([File(name, "100644", len(content), (content,))])

    def _renewed(self, delta: Delta, former: str) -> Iterator[bytes]:
        """Whole files, pieces of large ones, and how a release is made of both and of the former one."""
        before, patched = frozenset(delta.gone), _Patched()
        for file in self._source.contents(delta.sent):
            if file.size < patch.LEAST or file.mode == LINK or file.path not in before or not self._is_patched(file.path):
                yield from self._members([_placed(file)])
                continue
            with ThreadPoolExecutor(1, thread_name_prefix="former") as pool:  # both at once: git takes its time to inflate
                old = pool.submit(self._source.before, former, file.path, self._directory)
                new = _mapped(file.content, self._directory)
            yield from self._members([patched.add(file, old.result(), new)])
        if patched.sums:
            yield from self._ours(SUMS, patched.sums.encode(errors="surrogateescape"))
        if delta.gone:
            text = steps(delta.gone, patched.text, empties=delta.empties)
            yield from self._ours(STEPS, text.encode(errors="surrogateescape"))

    def _is_patched(self, path: str) -> bool:
        return patch.speaks_of(path) and not f"{path}/".startswith(self._shared)


class _Patched:
    """Files that are put together on the host; `text` says how, `sums` what must come out."""

    def __init__(self) -> None:
        self.text = ""
        self.sums = ""
        self._count = 0

    def add(self, file: File, old: Data, new: Data) -> File:
        """What travels: the new pieces, or the file itself if they are too much of it."""
        found = patch.pieces(old, new)
        if not patch.is_worth_it(found):
            return _placed(file._replace(content=_cut(new, 0, file.size)))
        digest = hashlib.sha256()
        for chunk in _cut(new, 0, file.size):
            digest.update(chunk)
        alone = digest.hexdigest() if file.size >= patch.ALONE else ""
        self.text += patch.lines(file.path, self._count, found, executable=file.mode == "100755", digest=alone)
        self.sums += "" if alone else patch.checksum(file.path, digest.hexdigest())
        sent = [piece for piece in found if not piece.is_old]
        content = chain.from_iterable(_cut(new, piece.start, piece.size) for piece in sent)
        name = f"{PARTS}/{self._count}"
        self._count += 1
        return File(name, "100644", sum(piece.size for piece in sent), content)


def _placed(file: File) -> File:
    """A file of the release, where it is in an upload."""
    return file._replace(path=f"{FILES}/{file.path}")


def _cut(data: Data, start: int, size: int) -> Iterator[bytes]:
    return (data[at : min(at + _CHUNK, start + size)] for at in range(start, start + size, _CHUNK))


def _mapped(content: Iterable[bytes], directory: Path) -> Data:
    """A content as a whole, which need not be in memory."""
    if isinstance(content, Part):
        return content
    with tempfile.TemporaryFile(dir=directory) as file:
        file.writelines(content)
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.tell() else b""
