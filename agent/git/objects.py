"""Writes loose objects: each appears whole or not at all, durable, and a killed writer leaves nothing that stands in the way.

Contents are synced one by one; their names by `sync_directory` for the ref that is moved to them: a file system with a journal
keeps names in the order in which they were made.

Neither dulwich nor git does all three: dulwich leaves `<id>.lock` files behind that block the object for ever, git does not sync.
"""

import hashlib
import os
import zlib
from contextlib import suppress
from io import BufferedWriter
from itertools import count
from pathlib import Path

_NUMBERS = count()
_TRIES = 20


class ObjectWriter:
    """Writes into one `objects` directory; `algorithm` is the repository's, sha1 or sha256."""

    def __init__(self, directory: Path, algorithm: str) -> None:
        self._directory = directory
        self._algorithm = algorithm
        # Whom core.sharedRepository lets in can be read off the directory that git made.
        self._mode = directory.stat().st_mode & 0o7777

    def put(self, kind: bytes, content: bytes) -> bytes:
        """Store an object of a kind (blob, tree, commit); returns its id in hex. Raises OSError."""
        whole = b"%s %d\0%s" % (kind, len(content), content)
        oid = hashlib.new(self._algorithm, whole, usedforsecurity=False).hexdigest()
        path = self._directory / oid[:2] / oid[2:]
        if not self._freshen(path):
            self._write(path, zlib.compress(whole, 1))
        return oid.encode()

    def _freshen(self, path: Path) -> bool:
        """Whether it is there; its time is renewed, so that `git gc` does not take it for garbage just now."""
        try:
            os.utime(path)
        except OSError:
            return False
        return True

    def _write(self, path: Path, packed: bytes) -> None:
        temporary = path.parent / f"tmp_obj_{os.getpid()}_{next(_NUMBERS)}"  # a name that `git gc` cleans up
        try:
            with self._create(temporary) as file:
                file.write(packed)
                file.flush()
                os.fchmod(file.fileno(), 0o444 & self._mode)
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _create(self, temporary: Path) -> BufferedWriter:
        """Open a new file; `git gc` may remove an empty directory at any time, even one that was just made."""
        for _ in range(_TRIES):
            self._make(temporary.parent)
            with suppress(FileNotFoundError):
                return temporary.open("xb")
        return temporary.open("xb")

    def _make(self, directory: Path) -> None:
        try:
            directory.mkdir()
        except FileExistsError:
            return
        with suppress(FileNotFoundError):
            directory.chmod(self._mode)


def remove_abandoned(directory: Path) -> None:
    """Remove what killed writers left half written in an `objects` directory; what others write stays."""
    for path in directory.glob("??/tmp_obj_*_*"):
        pid = path.name.split("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
