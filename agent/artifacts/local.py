"""Artifacts in a directory of the server: `sha256/ab/<digest>`, content-addressed."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent.artifacts.base import Stored
from agent.artifacts.opening import Opening
from agent.errors import EnvironmentFault

_DIGEST = re.compile(r"[0-9a-f]{64}")
_Identity = tuple[int, int, int, int, int]  # device, number, size, times of content and of the file: another if it is written to


class LocalStore:
    """An ArtifactStore below `root`, which is made when it is first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._right: dict[str, _Identity] = {}  # of the files that were seen to have their digest

    @classmethod
    def open(cls, opening: Opening) -> "LocalStore":
        return cls(opening.root)

    def put(self, archive: Path, digest: str) -> None:
        place = self._place(digest)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            archive = self._bring(archive)
            _sync(archive)
            archive.chmod(0o444)
            os.utime(archive)  # its age counts from now; see `remove`
            with self._lock(fcntl.LOCK_SH):
                archive.replace(place)
            _sync(place.parent)
            _sync(place.parent.parent)
        except OSError as error:
            raise EnvironmentFault(f"an artifact cannot be stored: {error}", hint="is the disk full?") from error

    def fetch(self, digest: str) -> Path:
        place = self._place(digest)
        try:
            with place.open("rb") as file:
                identity = _identity(os.fstat(file.fileno()))
                if self._right.get(digest) == identity:
                    return place
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise EnvironmentFault(
                f"the artifact {digest} is not in the store any more", hint="run the action that made it again"
            ) from error
        except OSError as error:
            raise EnvironmentFault(f"the artifact {digest} cannot be read: {error}") from error
        if found != digest:
            raise EnvironmentFault(
                f"the artifact {digest} is damaged: its bytes have the digest {found}",
                hint="check the disk, then run the action that made it again",
            )
        self._right[digest] = identity
        return place

    def has(self, digest: str) -> bool:
        return self._place(digest).is_file()

    def remove(self, digest: str, *, before: datetime | None = None) -> bool:
        place = self._place(digest)
        if not place.exists():
            return False
        with self._lock(fcntl.LOCK_EX):  # or an archive that is just put again would be lost
            if before is not None and _time(place.stat()) >= before:
                return False
            place.unlink(missing_ok=True)
        return True

    def stored(self) -> tuple[Stored, ...]:
        return tuple(
            Stored(file.name, status.st_size, _time(status))
            for file in sorted(self._root.glob("sha256/??/*"))
            if _DIGEST.fullmatch(file.name)
            for status in (file.stat(),)
        )

    def sweep(self, before: datetime) -> tuple[str, ...]:
        left = [file for file in self._root.glob("incoming/*") if _time(file.stat()) < before]
        for file in left:
            file.unlink(missing_ok=True)
        return tuple(f"the unfinished file {file.name}" for file in left)

    def _bring(self, archive: Path) -> Path:
        """The archive on the store's own file system, so that a rename puts it in place."""
        if archive.stat().st_dev == self._root.stat().st_dev:
            return archive
        incoming = self._root / "incoming"
        incoming.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=incoming)
        with os.fdopen(descriptor, "wb") as file, archive.open("rb") as source:
            shutil.copyfileobj(source, file, 1024 * 1024)
        archive.unlink()
        return Path(name)

    def _place(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a sha256 digest: {digest!r}")
        return self._root / "sha256" / digest[:2] / digest

    @contextmanager
    def _lock(self, mode: int) -> Iterator[None]:
        with (self._root / "lock").open("a") as file:
            fcntl.flock(file, mode)
            yield


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _time(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
