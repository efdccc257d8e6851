"""Writing into a directory that somebody else prepared, without ever leaving it.

Each directory on the way is opened relative to the one before and never through a symbolic link: a link in a pushed commit that
stands where an archive has a directory is an error, not a way out.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from agent.artifacts.base import ArtifactError

Parts = tuple[str, ...]
MAX_DEPTH = 200  # directories inside one another; each holds a descriptor
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def parts_of(name: str) -> Parts:
    """The segments of a relative name. Raises ArtifactError for an absolute one, one with `..` or a NUL, or an empty one."""
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ArtifactError(f"{name!r}: it leads out of the directory it belongs to")
    if len(parts) > MAX_DEPTH:
        raise ArtifactError(f"{name[:80]!r}…: more than {MAX_DEPTH} directories inside one another")
    if not parts:
        raise ArtifactError(f"{name!r}: it names nothing")
    return parts


def escapes(link: Parts, target: str) -> bool:
    """Whether a link at `link` could lead out of the root, or its way depends on other links.

    `..` may only stand at the beginning: the directories a link lies in are real ones, what follows a name need not be.
    """
    if not target or target.startswith("/") or "\0" in target:
        return True
    steps = [part for part in target.split("/") if part not in {"", "."}]
    up = 0
    while up < len(steps) and steps[up] == "..":
        up += 1
    return up >= len(link) or ".." in steps[up:]


class Target:
    """A directory that takes files, links and directories by their parts. A context manager; not for several threads.

    Raises ArtifactError where a link or a file stands in the way of a directory; OSError as the system says.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: list[tuple[str, int]] = []  # the directories down to the last one used

    def __enter__(self) -> Self:
        self._open = [("", os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))]
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.pop()[1])

    def directory(self, parts: Parts) -> int:
        """Make a directory and those above it; a descriptor that is valid until the next call."""
        common = 0
        while common < min(len(parts), len(self._open) - 1) and self._open[common + 1][0] == parts[common]:
            common += 1
        while len(self._open) > common + 1:
            os.close(self._open.pop()[1])
        for depth in range(common, len(parts)):
            self._open.append((parts[depth], self._enter(self._open[-1][1], parts[: depth + 1])))
        return self._open[-1][1]

    def file(self, parts: Parts, content: IO[bytes], size: int, *, executable: bool) -> None:
        """Write a file of `size` bytes. Raises EOFError if the content is shorter."""
        directory = self._clear(parts)
        descriptor = os.open(parts[-1], _NEW, 0o755 if executable else 0o644, dir_fd=directory)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(content, file, 1024 * 1024)
            if file.tell() != size:
                raise EOFError(f"{'/'.join(parts)} is cut off")

    def link(self, parts: Parts, target: str) -> None:
        """Make a symbolic link, or leave the same one as it is; whether it may lead there is for the caller to say."""
        directory = self.directory(parts[:-1])
        with suppress(OSError):
            if os.readlink(parts[-1], dir_fd=directory) == target:
                return
        os.symlink(target, parts[-1], dir_fd=self._clear(parts))

    def unlink(self, parts: Parts, target: str) -> None:
        """Remove a symbolic link if it leads to `target`; nothing else."""
        directory = self.directory(parts[:-1])
        with suppress(OSError):
            if os.readlink(parts[-1], dir_fd=directory) == target:
                os.unlink(parts[-1], dir_fd=directory)

    def _enter(self, directory: int, parts: Parts) -> int:
        with suppress(FileExistsError):
            os.mkdir(parts[-1], 0o755, dir_fd=directory)
        try:
            return os.open(parts[-1], _DIRECTORY, dir_fd=directory)
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            raise ArtifactError(f"{'/'.join(parts)}: a link or a file stands where a directory has to be") from error

    def _clear(self, parts: Parts) -> int:
        """The open directory of a file or link, in which its name is free."""
        directory = self.directory(parts[:-1])
        with suppress(FileNotFoundError):
            try:
                os.unlink(parts[-1], dir_fd=directory)
            except (IsADirectoryError, PermissionError) as error:
                raise ArtifactError(f"{'/'.join(parts)}: a directory stands where a file has to be") from error
        return directory
