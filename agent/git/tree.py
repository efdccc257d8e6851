"""The files of a commit, of its `.pipeline/`, or of a directory, as the definition reads them. The hooks import this.

Symbolic links and submodules are entries with their mode and are never followed.
"""

import os
import stat
from collections.abc import Iterable

from agent.definition.source import DIRECTORY, REGULAR, SUBMODULE, SYMLINK, Entry
from agent.errors import EnvironmentFault
from agent.git.command import Git

DEFINITION = ".pipeline"
AT_ONCE = 1 << 20  # bytes of the largest file that is read together with its neighbours
TOGETHER = 8 << 20  # bytes of all files that are read together


def definition_trees(git: Git, commits: Iterable[str]) -> dict[str, str]:
    """For each commit, or tag of one, the id of its `.pipeline` tree; empty if it has none, or is no commit at all.

    Where `.pipeline` is not a directory but a file, a link or a submodule, it is its mode and id, such as `120000 4b82…`:
    still one name for one content.
    """
    asked = list(dict.fromkeys(commits))
    if not asked:
        return {}
    rest = git.run("cat-file", "--batch", stdin="".join(f"{commit}^{{tree}}\n" for commit in asked).encode())
    found = {}
    for commit in asked:
        header, _, rest = rest.partition(b"\n")
        *_, kind, size = header.rsplit(b" ", 2)
        found[commit] = ""
        if kind == b"tree":
            content, rest = rest[: int(size)], rest[int(size) + 1 :]
            found[commit] = _definition(content, len(header.split(b" ")[0]) // 2)
    return found


def listing(git: Git, commit: str, paths: Iterable[str]) -> bytes:
    """Mode and id of the files at these paths of a commit, as one name for all of it; files that are not there leave no trace."""
    return git.run("--literal-pathspecs", "ls-tree", "-z", commit, "--", *paths)


def _definition(content: bytes, width: int) -> str:
    """The entry `.pipeline` of a raw tree whose object ids have `width` bytes."""
    at = 0
    while at < len(content):
        end = content.index(b"\0", at)
        mode, _, name = content[at:end].partition(b" ")
        at = end + 1 + width
        if name == DEFINITION.encode():
            oid = content[end + 1 : at].hex()
            return oid if int(mode, 8) == DIRECTORY else f"{mode.decode()} {oid}"
    return ""


class CommitTree:
    """All files of a commit, listed directory by directory; each is asked for once.

    Raises EnvironmentFault at the first look if there is no such commit.
    """

    def __init__(self, git: Git, commit: str) -> None:
        self._git = git
        self._oid = commit
        self._listed: dict[str, tuple[Entry, ...]] = {}
        self._contents: dict[str, bytes] = {}

    def entries(self, directory: str) -> tuple[Entry, ...]:
        """What stands in a directory, sorted by name. Raises EnvironmentFault if git cannot read it."""
        if directory not in self._listed:
            self._listed[directory] = self._list(self._tree_id(directory))
        return self._listed[directory]

    def read(self, path: str) -> bytes:
        """The content of a regular file; raises KeyError if there is none."""
        entry = self._entry(path)
        if entry is None or entry.mode not in REGULAR:
            raise KeyError(path)
        if entry.oid not in self._contents:
            self._fetch(path.rpartition("/")[0], entry)
        return self._contents[entry.oid]

    def _entry(self, path: str) -> Entry | None:
        directory, _, name = path.rpartition("/")
        return next((entry for entry in self.entries(directory) if entry.name == name), None)

    def _tree_id(self, directory: str) -> str:
        if not directory:
            return self._oid
        entry = self._entry(directory)
        return entry.oid if entry and entry.mode == DIRECTORY else ""

    def _list(self, oid: str) -> tuple[Entry, ...]:
        text = self._git.run("ls-tree", "-z", "-l", oid) if oid else b""
        return tuple(sorted(_listed(line) for line in text.split(b"\0") if line))

    def _fetch(self, directory: str, wanted: Entry) -> None:
        """Read a file, and if it is one of a pipeline's, its neighbours with it."""
        oids, total = {wanted.oid: None}, wanted.size
        for entry in self.entries(directory) if f"{directory}/".startswith(f"{DEFINITION}/") else ():
            if entry.mode in REGULAR and entry.size <= AT_ONCE and total + entry.size <= TOGETHER:
                total += 0 if entry.oid in oids else entry.size
                oids[entry.oid] = None
        rest = self._git.run("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode())
        for oid in oids:
            header, _, rest = rest.partition(b"\n")
            if header.endswith(b" missing"):
                raise EnvironmentFault(f"object {oid} is missing in {self._git.git_dir}", hint="run git fsck there")
            size = int(header.rsplit(b" ", 1)[1])
            self._contents[oid], rest = rest[:size], rest[size + 1 :]


def _listed(line: bytes) -> Entry:
    fields, _, name = line.partition(b"\t")
    mode, _, oid, size = fields.split()
    length = 0 if size == b"-" else int(size)
    return Entry(name.decode(errors="backslashreplace"), int(mode, 8), length, oid.decode())


class DirectoryTree:
    """The files of a directory as git would commit them: no `.git`, a repository inside it is a submodule."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.fspath(root)

    def entries(self, directory: str) -> tuple[Entry, ...]:
        """What stands in a directory, sorted by name; empty where there is none or a link leads to it."""
        try:
            descriptor = self._open(directory, os.O_DIRECTORY)
        except OSError:
            return ()
        try:
            with os.scandir(descriptor) as found:
                entries = [(item.name, item.stat(follow_symlinks=False)) for item in found if item.name != ".git"]
            return tuple(sorted(entry for name, facts in entries if (entry := _entry_of(descriptor, name, facts))))
        finally:
            os.close(descriptor)

    def read(self, path: str) -> bytes:
        """The content of a regular file; raises KeyError if there is none."""
        try:
            descriptor = self._open(path, os.O_NONBLOCK)
        except OSError as error:
            raise KeyError(path) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise KeyError(path)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def _open(self, path: str, flags: int) -> int:
        """Open step by step, so that no part of the path is a link."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        parts = [part for part in path.split("/") if part]
        for index, part in enumerate(parts):
            outer = descriptor
            try:
                wanted = flags if index == len(parts) - 1 else os.O_DIRECTORY
                descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | wanted, dir_fd=outer)
            finally:
                os.close(outer)
        return descriptor


def _entry_of(directory: int, name: str, facts: os.stat_result) -> Entry | None:
    shown = os.fsencode(name).decode(errors="backslashreplace")
    if stat.S_ISLNK(facts.st_mode):
        return Entry(shown, SYMLINK)
    if stat.S_ISDIR(facts.st_mode):
        return Entry(shown, SUBMODULE if _is_repository(directory, name) else DIRECTORY)
    if stat.S_ISREG(facts.st_mode):
        return Entry(shown, 0o100755 if facts.st_mode & stat.S_IXUSR else 0o100644, facts.st_size)
    return None


def _is_repository(directory: int, name: str) -> bool:
    try:
        os.stat(f"{name}/.git", dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True
