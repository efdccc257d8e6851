"""Where the files come from: the small part of a git tree, or of a directory, that the reader needs."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

REGULAR = frozenset({0o100644, 0o100755})
DIRECTORY = 0o040000
SYMLINK = 0o120000
SUBMODULE = 0o160000


class Entry(NamedTuple):
    """One entry of a directory: name without the directory, git's mode, bytes of a file (0 else), object id or empty."""

    name: str
    mode: int
    size: int = 0
    oid: str = ""


class Tree(Protocol):
    """A snapshot of files. Paths are relative to its root, with `/` between the parts."""

    def entries(self, directory: str) -> tuple[Entry, ...]:
        """What stands in a directory ("" is the root), sorted by name; empty if it is not there or is no directory.

        A symbolic link is an entry with mode 120000 and is never followed.
        """

    def read(self, path: str) -> bytes:
        """The content of a regular file; raises KeyError if there is none."""


def find(tree: Tree, path: str) -> Entry | None:
    """The entry at a path, if there is one."""
    directory, _, name = path.rpartition("/")
    return next((one for one in tree.entries(directory) if one.name == name), None)


class MemoryTree:
    """A tree of the given files; `modes` gives a path another mode than that of a regular file."""

    def __init__(self, files: Mapping[str, bytes], modes: Mapping[str, int] | None = None) -> None:
        self._files = dict(files)
        self._modes = dict(modes or {})

    def entries(self, directory: str) -> tuple[Entry, ...]:
        prefix = f"{directory}/" if directory else ""
        below = (path.removeprefix(prefix) for path in (*self._files, *self._modes) if path.startswith(prefix))
        return tuple(self._entry(prefix, name) for name in sorted({path.split("/", 1)[0] for path in below}))

    def read(self, path: str) -> bytes:
        return self._files[path]

    def _entry(self, prefix: str, name: str) -> Entry:
        path = prefix + name
        if path in self._modes:
            return Entry(name, self._modes[path])
        if path in self._files:
            return Entry(name, 0o100644, len(self._files[path]))
        return Entry(name, DIRECTORY)
