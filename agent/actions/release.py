"""What a deployment puts on hosts: the tree of a commit, or artifacts; named by content, sent as the difference to another."""

import hashlib
import mmap
import tarfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from agent.artifacts.base import ArtifactStore
from agent.deploy import tarball
from agent.deploy.delta import Delta
from agent.deploy.tarball import Data, Member, Part
from agent.errors import EnvironmentFault
from agent.git.command import Git
from agent.git.contents import contents, mapped

_SUBMODULE = "160000"
LINK = "120000"  # a mode, as git has it


class File(NamedTuple):
    """A file that is to travel; the content of a link is its target."""

    path: str
    mode: str
    size: int
    content: Iterable[bytes]


class Source(Protocol):
    """The content of a release."""

    name: str

    def files(self) -> Collection[str]:
        """The paths of all of it."""

    def against(self, former: str) -> Delta | None:
        """The difference to another release by its name, as far as both are known here."""

    def contents(self, paths: Sequence[str]) -> Iterator[File]:
        """Each of these, in any order; a content is read before the next file is asked for."""

    def before(self, former: str, path: str, directory: Path) -> Data:
        """What a path that is not the same was in a release that `against` knew. Safe while another content is read.

        In `directory` there may be room for it.
        """


class Commit:
    """The tree of a commit, as git has it: no filters, no export attributes."""

    def __init__(self, git: Git, commit: str) -> None:
        """Raises EnvironmentFault if there is no such commit."""
        self._git = git
        self._tree = git.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").decode().strip()
        self.name = f"c-{self._tree}"
        self._known: dict[str, tuple[str, str]] = {}  # mode and object by path
        self._before: dict[tuple[str, str], str] = {}  # object by release and path

    def files(self) -> Collection[str]:
        """See Source."""
        listed = self._git.run("ls-tree", "-r", "-z", "--full-tree", self._tree)
        for line in listed.split(b"\0")[:-1]:
            fields, _, path = line.partition(b"\t")
            mode, _, oid = fields.decode().split(" ")
            if mode != _SUBMODULE:
                self._known[path.decode(errors="surrogateescape")] = mode, oid
        return self._known.keys()

    def against(self, former: str) -> Delta | None:
        """See Source. Asked of git, which need not read what both have."""
        if not former.startswith("c-"):
            return None
        code, out, _ = self._git.call("diff-tree", "-r", "-z", "--no-renames", "--raw", former[2:], self._tree)
        if code:
            return None
        fields = out.decode(errors="surrogateescape").split("\0")[:-1]
        sent, gone = [], []
        for told, path in zip(fields[::2], fields[1::2], strict=True):
            old_mode, mode, old_oid, oid, _ = told[1:].split(" ")
            if mode not in {"000000", _SUBMODULE}:
                self._known[path] = mode, oid
                sent.append(path)
            if old_mode not in {"000000", _SUBMODULE}:
                self._before[former, path] = old_oid
                gone.append(path)
        return Delta(tuple(sent), tuple(gone))

    def contents(self, paths: Sequence[str]) -> Iterator[File]:
        """See Source."""
        found = contents(self._git, (self._known[path][1] for path in paths))
        for path, (size, content) in zip(paths, found, strict=True):
            yield File(path, self._known[path][0], size, content)

    def before(self, former: str, path: str, directory: Path) -> Data:
        """See Source."""
        return mapped(self._git, self._before[former, path], directory)


class Archives:
    """Artifacts, each unpacked at a path; a later one wins. Told from other releases only if it is a single one."""

    def __init__(self, store: ArtifactStore, parts: Sequence[tuple[str, str]]) -> None:
        """`parts` are pairs of digest and path. Raises EnvironmentFault if one is not kept any more."""
        self._store = store
        self._archives = [_Archive(store.fetch(digest), path.strip("/")) for digest, path in parts]
        self._single = len(parts) == 1 and not self._archives[0].base
        text = "\n".join(f"{digest} {path}" for digest, path in parts)
        self.name = f"a-{parts[0][0] if self._single else hashlib.sha256(text.encode()).hexdigest()}"
        self._formers: dict[str, _Archive] = {}
        self._owners = {path: archive for archive in self._archives for path in archive.members}

    def files(self) -> Collection[str]:
        """See Source."""
        return self._owners.keys()

    def against(self, former: str) -> Delta | None:
        """See Source."""
        if not self._single or not former.startswith("a-"):
            return None
        try:
            old, new = _Archive(self._store.fetch(former[2:]), ""), self._archives[0]
        except EnvironmentFault:
            return None
        self._formers[former] = old
        same = tarball.alike(old.data, old.members, new.data, new.members)
        return Delta(tuple(sorted(new.members.keys() - same)), tuple(sorted(old.members.keys() - same)))

    def contents(self, paths: Sequence[str]) -> Iterator[File]:
        """See Source."""
        for path in paths:
            archive = self._owners[path]
            member = archive.members[path]
            content = (member.target,) if member.mode == LINK else archive.content(member)
            yield File(path, member.mode, len(member.target) or member.size, content)

    def before(self, former: str, path: str, directory: Path) -> Data:
        """See Source."""
        archive = self._formers[former]
        return archive.content(archive.members[path])


class _Archive:
    """An archive file, looked through. `base`: where it is unpacked."""

    def __init__(self, file: Path, base: str) -> None:
        """Raises EnvironmentFault if it cannot be read."""
        self.base = base
        try:
            with file.open("rb") as opened:
                self.data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            found = tarball.read(self.data)
            members = dict(_members(file)) if found is None else found
        except (OSError, ValueError, tarfile.TarError) as error:
            raise EnvironmentFault(f"the archive {file} cannot be read: {error}") from error
        self.members = {f"{base}/{name}": member for name, member in members.items()} if base else members

    def content(self, member: Member) -> Part:
        return Part(self.data, member.start, member.size)


def _members(file: Path) -> Iterator[tuple[str, Member]]:
    """What has long names or other records that only a full reader knows."""
    with tarfile.open(file, "r:") as tar:
        for member in tar:
            if member.isreg():
                yield member.name, Member("100755" if member.mode & 0o100 else "100644", member.offset_data, member.size)
            elif member.issym():
                yield member.name, Member(LINK, member.offset_data, 0, member.linkname.encode(errors="surrogateescape"))


def read_file(source: Source, path: str) -> bytes | None:
    """The content of one file of a release; None if it has none."""
    if path not in source.files():
        return None
    file = next(source.contents((path,)))
    return None if file.mode == LINK else b"".join(file.content)
