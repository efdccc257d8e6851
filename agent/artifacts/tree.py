"""Reading a directory that a script has written, without trusting it.

Everything is opened relative to the descriptor of its directory and never through a symbolic link, so what a script left, or a
process that outlived it still changes, cannot make the agent read a file outside.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.model import glob

MAX_DEPTH = 200  # directories inside one another; each holds a descriptor while it is walked
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = re.compile(r"[*?\[\]{}\\]")


class Found(NamedTuple):
    """Anything but a directory. `directory` is an open descriptor, valid until the walk goes on."""

    name: str  # from the root, with '/'
    leaf: str
    directory: int
    status: os.stat_result

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.status.st_mode)

    def open(self) -> int:
        """A descriptor of the file. Raises OSError if a link or something else took its place."""
        return open_regular(self.leaf, self.directory)

    def target(self) -> str:
        """Where a symbolic link points."""
        return os.readlink(self.leaf, dir_fd=self.directory)


class Selection:
    """The names that globs take: at least one of `include` and none of `exclude`; a plain directory name takes all below it."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str] = ()) -> None:
        self._include = {pattern: _expression(pattern) for pattern in include}
        self._exclude = [_expression(pattern) for pattern in exclude]
        self._reach = [_reach(pattern) for pattern in include]
        self._unused = set(include)

    def takes(self, name: str) -> bool:
        taking = [pattern for pattern, expression in self._include.items() if expression.fullmatch(name)]
        if not taking or any(expression.fullmatch(name) for expression in self._exclude):
            return False
        self._unused.difference_update(taking)
        return True

    def enters(self, directory: str) -> bool:
        """Whether anything below the directory could be taken."""
        return any(_reaches(prefix, depth, directory) for prefix, depth in self._reach)

    @property
    def unused(self) -> tuple[str, ...]:
        """The patterns that have taken nothing so far, as they were given."""
        return tuple(pattern for pattern in self._include if pattern in self._unused)


def walk(root: Path, enters: Callable[[str], bool] = lambda _: True) -> Iterator[Found]:
    """Everything below the directory `root` but directories, sorted within each of them. Links are told, never followed.

    Raises EnvironmentFault for what cannot be read.
    """
    try:
        directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield from _below(directory, "", enters, 0)
        finally:
            os.close(directory)
    except OSError as error:
        raise EnvironmentFault(f"{root}: {error.filename or ''}: {error.strerror}") from error


def select(root: Path, selection: Selection) -> Iterator[Found]:
    """What the selection takes below `root`, as `walk` tells it."""
    return (found for found in walk(root, selection.enters) if selection.takes(found.name))


def open_regular(name: str | Path, directory: int | None = None) -> int:
    """Open a regular file for reading; OSError for a link, a device or a pipe, without waiting for a writer."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(f"{name} is not a regular file")


def read(found: Found, limit: int) -> bytes:
    """The first `limit` bytes of a regular file. Raises OSError."""
    with os.fdopen(found.open(), "rb") as file:
        return file.read(limit)


def nearby(root: Path, pattern: str, count: int = 5) -> tuple[str, ...]:
    """Names that somebody who wrote `pattern` may have meant: those beside it, or anywhere with the same ending."""
    names = [found.name for found in islice(walk(root), 5000)]
    parts = _literal(pattern).split("/")
    for depth in range(len(parts), 0, -1):
        beside = [name for name in names if name.startswith("/".join(parts[:depth]) + "/")]
        if beside:
            return tuple(beside[:count])
    ending = pattern.rpartition(".")[2].lower()
    alike = [name for name in names if name.lower().endswith(ending)]
    return tuple((alike or names)[:count])


def _below(directory: int, prefix: str, enters: Callable[[str], bool], depth: int) -> Iterator[Found]:
    if depth > MAX_DEPTH:
        raise EnvironmentFault(f"{prefix}: more than {MAX_DEPTH} directories inside one another")
    with os.scandir(directory) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        name = prefix + entry.name
        if not entry.is_dir(follow_symlinks=False):
            yield Found(name, entry.name, directory, entry.stat(follow_symlinks=False))
        elif enters(name):
            child = os.open(entry.name, _DIRECTORY, dir_fd=directory)
            try:
                yield from _below(child, name + "/", enters, depth + 1)
            finally:
                os.close(child)


def _expression(pattern: str) -> re.Pattern[str]:
    plain = pattern.rstrip("/")
    expression = glob.compiled(plain)
    if _SPECIAL.search(plain):
        return expression
    return re.compile(f"(?:{expression.pattern})(?:/.*)?", re.DOTALL)


def _literal(pattern: str) -> str:
    """The leading segments without a wildcard."""
    return "/".join(takewhile(lambda part: not _SPECIAL.search(part), pattern.rstrip("/").split("/")))


def _reach(pattern: str) -> tuple[str, int]:
    """The directory all that a pattern can take lies below, and how deep directories can be that it looks into."""
    literal = _literal(pattern)
    endless = "**" in pattern or "{" in pattern or literal == pattern.rstrip("/")
    return literal, MAX_DEPTH if endless else pattern.count("/")


def _reaches(prefix: str, depth: int, directory: str) -> bool:
    inside = not prefix or directory == prefix or directory.startswith(prefix + "/")
    return prefix.startswith(directory + "/") or (inside and directory.count("/") < depth)
