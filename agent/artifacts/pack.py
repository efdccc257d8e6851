"""Artifacts as archives: deterministic to write, safe to read.

The same files make the same bytes: sorted, owned by nobody in particular, of one fixed time; of the mode only "executable" is
kept.
Directories come back through the files in them, so an empty one is not kept.
"""

import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from agent.artifacts import tree
from agent.artifacts.base import ArtifactError, Collected
from agent.artifacts.target import Target, escapes, parts_of
from agent.errors import EnvironmentFault
from agent.model.outcome import ArtifactRecord
from agent.model.plan import ArtifactOutput

TIME = 315532800  # 1980-01-01, the first day that zip and old tar readers know too
_DAMAGED = (tarfile.TarError, ValueError, OverflowError, EOFError, LookupError)


class Limits(NamedTuple):
    """The most that an artifact may hold."""

    files: int = 200_000
    size: int = 5 * 1024**3  # bytes


LIMITS = Limits()


class _Hashing:
    """A file that only grows and knows the digest and the number of its bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.size

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


def collect(workspace: Path, output: ArtifactOutput, into: Path, limits: Limits = LIMITS) -> Collected:
    """Write the files of an output to a new archive in the directory `into`, and tell what is in it.

    Every glob of `files` has to take a file, unless the output is `optional`. Raises ArtifactError for a glob without a file, a
    link that leads out, a device, a pipe or a socket, two files of one name in a `flat` output, or too much of it;
    EnvironmentFault for what cannot be read or written.
    """
    selection = tree.Selection(_based(output.files, output.base), _based(output.exclude, output.base))
    descriptor, name = tempfile.mkstemp(dir=into, suffix=".tar")
    archive = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            record = _write(workspace, output, selection, file, limits)
        if selection.unused and not output.optional:
            raise _missing(workspace, output, selection.unused[0])
    except OSError as error:
        archive.unlink()
        raise EnvironmentFault(f"artifact '{output.name}' cannot be written: {error}", hint="is the disk full?") from error
    except BaseException:
        archive.unlink()
        raise
    return Collected(record, archive)


def unpack(archive: Path, into: Path, path: str = "", limits: Limits = LIMITS) -> None:
    """Unpack an archive below `into`/`path`; what is there already is replaced, file by file.

    Nothing is written outside `into`, whatever the archive says and whatever links lie there already. Raises ArtifactError, with
    the member's name, for names with `..`, absolute ones, links that lead out, hard links, devices, pipes, set-id bits, a damaged
    archive or too much of it; EnvironmentFault if it cannot be read or written. What was unpacked until then stays.
    """
    base = parts_of(path) if path else ()
    try:
        with tarfile.open(archive, "r:") as tar, Target(into) as target:
            for member in _checked(tar, limits):
                _place(tar, member, target, base)
    except _DAMAGED as error:
        raise ArtifactError(f"the archive {archive.name} is damaged: {error}") from error
    except OSError as error:
        raise EnvironmentFault(f"the archive {archive.name} cannot be unpacked into {into}: {error}") from error


def _based(globs: tuple[str, ...], base: str) -> tuple[str, ...]:
    return tuple(f"{base}/{glob}" for glob in globs) if base else globs


def _named(found: Iterator[tree.Found], output: ArtifactOutput) -> Iterator[tree.Found]:
    """The files under the names that they have in the archive."""
    names: dict[str, str] = {}
    for one in found:
        name = one.leaf if output.flat else one.name.removeprefix(f"{output.base}/") if output.base else one.name
        if names.setdefault(name, one.name) != one.name:
            hint = "leave `flat` out, or exclude one of them"
            raise ArtifactError(f"artifact '{output.name}': {names[name]} and {one.name} have one name", hint=hint)
        yield one._replace(name=name)


def _write(workspace: Path, output: ArtifactOutput, selection: tree.Selection, file: BinaryIO, limits: Limits) -> ArtifactRecord:
    sink = _Hashing(file)
    count = 0
    with tarfile.open(fileobj=cast(BinaryIO, sink), mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for found in _named(tree.select(workspace, selection), output):
            count += 1
            _add(tar, found)
            if count > limits.files or sink.size > limits.size:
                raise ArtifactError(
                    f"artifact '{output.name}' is too big: it has more than {limits.files} files or {limits.size} bytes",
                    hint="narrow its globs or exclude what later actions do not need",
                )
    return ArtifactRecord(name=output.name, digest=sink.digest, size=sink.size, files=count)


def _add(tar: tarfile.TarFile, found: tree.Found) -> None:
    member = tarfile.TarInfo(found.name)
    member.mtime = TIME
    if found.is_link:
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, _inner_link(found)
        tar.addfile(member)
    elif found.is_file:
        member.mode = 0o755 if found.status.st_mode & stat.S_IXUSR else 0o644
        _add_file(tar, member, found)
    else:
        raise ArtifactError(f"{found.name} is a device, a pipe or a socket", hint="exclude it from the artifact")


def _add_file(tar: tarfile.TarFile, member: tarfile.TarInfo, found: tree.Found) -> None:
    try:
        with os.fdopen(found.open(), "rb") as content:
            member.size = os.fstat(content.fileno()).st_size
            tar.addfile(member, content)
    except OSError as error:
        raise EnvironmentFault(f"{found.name} cannot be put into an artifact: {error.strerror or error}") from error


def _inner_link(found: tree.Found) -> str:
    target = found.target()
    if escapes(tuple(found.name.split("/")), target):
        raise ArtifactError(
            f"{found.name} is a symbolic link to {target}, which leads out of the workspace",
            hint="exclude it, or make it a relative link to a file inside",
        )
    return target


def _missing(workspace: Path, output: ArtifactOutput, pattern: str) -> ArtifactError:
    near = tree.nearby(workspace, pattern)
    there = f"the workspace has {', '.join(near)}" if near else "the workspace is empty"
    return ArtifactError(
        f"artifact '{output.name}': no file matches '{pattern}'" + (" that is not excluded" if output.exclude else ""),
        hint=f"{there}; globs are relative to the workspace, and `optional: true` allows that nothing is there",
    )


def _checked(tar: tarfile.TarFile, limits: Limits) -> Iterator[tarfile.TarInfo]:
    total = 0
    for count, member in enumerate(tar, 1):
        total += member.size
        if count > limits.files or total > limits.size:
            raise ArtifactError(f"{member.name}: the archive holds more than {limits.files} files or {limits.size} bytes")
        if member.mode & (stat.S_ISUID | stat.S_ISGID):
            raise ArtifactError(f"{member.name}: it has a set-id bit")
        yield member


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Target, base: tuple[str, ...]) -> None:
    parts = parts_of(member.name)
    if member.isdir():
        target.directory(base + parts)
    elif member.issym():
        if escapes(parts, member.linkname):
            raise ArtifactError(f"{member.name}: it is a link to {member.linkname}, which leads out")
        target.link(base + parts, member.linkname)
    elif member.isreg() and not member.issparse():
        content = tar.extractfile(member)
        if content is None:
            raise ArtifactError(f"{member.name}: it has no content")
        target.file(base + parts, content, member.size, executable=bool(member.mode & stat.S_IXUSR))
    else:
        raise ArtifactError(f"{member.name}: it is a device, a pipe, a hard link or a sparse file")
