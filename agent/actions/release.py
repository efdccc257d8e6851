"""What a deployment puts on hosts: the tree of a commit, or artifacts; named by content, sent as the difference to another."""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import IO, BinaryIO, NamedTuple, Protocol

from agent.artifacts.base import ArtifactStore
from agent.deploy import delta, tarball
from agent.deploy.commands import COMPLETE, gone_list
from agent.deploy.delta import Delta, File
from agent.errors import EnvironmentFault
from agent.git.command import Git

_AT_ONCE = 256  # objects that are read together
_CHUNK = 1024 * 1024
_SUBMODULE = "160000"
_LINK = "120000"


class Source(Protocol):
    """The content of a release."""

    name: str

    def files(self) -> dict[str, File]:
        """All of it, by path."""

    def against(self, former: str) -> Delta | None:
        """The difference to another release by its name, as far as both are known here."""

    def contents(self, paths: Sequence[str]) -> Iterator[tuple[str, File, int, Iterable[bytes]]]:
        """Path, file, size and content of each, in any order."""


class Commit:
    """The tree of a commit, as git has it: no filters, no export attributes."""

    def __init__(self, git: Git, commit: str) -> None:
        """Raises EnvironmentFault if there is no such commit."""
        self._git = git
        self._tree = git.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").decode().strip()
        self.name = f"c-{self._tree}"
        self._known: dict[str, File] = {}

    def files(self) -> dict[str, File]:
        """See Source."""
        listed = self._git.run("ls-tree", "-r", "-z", "--full-tree", self._tree)
        for line in listed.split(b"\0")[:-1]:
            fields, _, path = line.partition(b"\t")
            mode, _, oid = fields.decode().split(" ")
            if mode != _SUBMODULE:
                self._known[path.decode(errors="surrogateescape")] = File(mode, oid)
        return self._known

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
            old_mode, mode, _, oid, _ = told[1:].split(" ")
            if mode not in {"000000", _SUBMODULE}:
                self._known[path] = File(mode, oid)
                sent.append(path)
            if old_mode not in {"000000", _SUBMODULE}:
                gone.append(path)
        return Delta(tuple(sent), tuple(gone))

    def contents(self, paths: Sequence[str]) -> Iterator[tuple[str, File, int, Iterable[bytes]]]:
        """See Source."""
        for start in range(0, len(paths), _AT_ONCE):
            some = paths[start : start + _AT_ONCE]
            asked = "".join(f"{self._known[path].content}\n" for path in some).encode()
            rest, at = self._git.run("cat-file", "--batch", "--buffer", stdin=asked), 0
            for path in some:
                end = rest.index(b"\n", at)
                header = rest[at:end]
                if header.endswith(b" missing"):
                    raise EnvironmentFault(f"{path} is missing in {self._git.git_dir}", hint="run git fsck there")
                size = int(header.rsplit(b" ", 1)[1])
                yield path, self._known[path], size, (rest[end + 1 : end + 1 + size],)
                at = end + size + 2


class Archives:
    """Artifacts, each unpacked at a path; a later one wins. Told from other releases only if it is a single one."""

    def __init__(self, store: ArtifactStore, parts: Sequence[tuple[str, str]]) -> None:
        """`parts` are pairs of digest and path. Raises ArtifactError if one is not kept any more."""
        self._store = store
        self._archives = [(store.fetch(digest), path.strip("/")) for digest, path in parts]
        single = len(parts) == 1 and not self._archives[0][1]
        text = "\n".join(f"{digest} {path}" for digest, path in parts)
        self.name = f"a-{parts[0][0] if single else hashlib.sha256(text.encode()).hexdigest()}"
        self._single = single
        self._files: dict[str, File] = {}

    def files(self) -> dict[str, File]:
        """See Source."""
        for archive, path in self._archives:
            self._files |= _listed(archive, path)
        return self._files

    def against(self, former: str) -> Delta | None:
        """See Source."""
        if not self._single or not former.startswith("a-"):
            return None
        try:
            old = _listed(self._store.fetch(former[2:]), "")
        except EnvironmentFault:
            return None
        return delta.between(old, self.files())

    def contents(self, paths: Sequence[str]) -> Iterator[tuple[str, File, int, Iterable[bytes]]]:
        """See Source."""
        wanted = set(paths)
        for archive, base in reversed(self._archives):
            with tarfile.open(archive, "r:") as tar:
                for member in tar:
                    path = _below(base, member.name)
                    if path not in wanted or member.isdir():
                        continue
                    wanted.discard(path)
                    content = tar.extractfile(member) if member.isreg() else None
                    body = iter(lambda content=content: content.read(_CHUNK), b"") if content else (member.linkname.encode(),)  # type: ignore[misc]
                    yield path, self._files[path], member.size if content else len(member.linkname.encode()), body


def _listed(archive: Path, base: str) -> dict[str, File]:
    found = {}
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content:
                digest = _digest(content)
                found[_below(base, member.name)] = File("100755" if member.mode & 0o100 else "100644", digest)
            elif member.issym():
                found[_below(base, member.name)] = File(_LINK, member.linkname)
    return found


def _digest(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while data := content.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()


def _below(base: str, name: str) -> str:
    return f"{base}/{name}" if base else name


class Upload(NamedTuple):
    """What travels to a host: a list of paths to remove, an archive, and how much it holds."""

    gone: bytes
    archive: Path
    files: int
    size: int
    former: str  # the release it is the difference to; "" is none


class Uploads:
    """Archives made once for all hosts that have the same former release. Safe from several threads."""

    def __init__(self, source: Source, directory: Path, mtime: int) -> None:
        self._source = source
        self._directory = directory
        self._mtime = mtime
        self._made: dict[str, Upload] = {}
        self._lock = Lock()

    def get(self, former: str) -> Upload:
        """For a host that has the release `former` ("" is none). Raises EnvironmentFault if it cannot be written."""
        with self._lock:
            if former not in self._made:
                self._made[former] = self._make(former)
            return self._made[former]

    def _make(self, former: str) -> Upload:
        found = self._source.against(former) if former else None
        if found is None:
            if former:
                self._made[""] = self._made.get("") or self._make("")
                return self._made[""]
            found = Delta(tuple(sorted(self._source.files())), ())
        archive = self._directory / f"upload-{len(self._made)}.tar"
        try:
            with archive.open("wb") as file:
                self._write(file, found.sent)
        except OSError as error:
            raise EnvironmentFault(f"{archive} cannot be written: {error}", hint="is the disk full?") from error
        return Upload(gone_list(found.gone), archive, len(found.sent), archive.stat().st_size, former)

    def _write(self, file: BinaryIO, paths: Sequence[str]) -> None:
        for path, entry, size, body in self._source.contents(paths):
            if entry.mode == _LINK:
                file.write(tarball.link(path, b"".join(body).decode(errors="surrogateescape"), self._mtime))
                continue
            file.write(tarball.head(path, entry.mode, size, self._mtime))
            file.writelines(body)
            file.write(tarball.padding(size))
        file.write(tarball.head(COMPLETE, "100644", 0, self._mtime))
        file.write(tarball.END)


def read_file(source: Source, path: str) -> bytes | None:
    """The content of one file of a release; None if it has none."""
    entry = source.files().get(path)
    if entry is None or entry.mode == _LINK:
        return None
    return next((b"".join(body) for _, _, _, body in source.contents((path,))), None)
