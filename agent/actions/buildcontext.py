"""What a build of an image gets of a workspace: read without trusting it, and judged by the images that are allowed."""

import os
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.actions import revision
from agent.actions.base import Context
from agent.artifacts import tree
from agent.artifacts.base import ArtifactError
from agent.artifacts.pack import TIME
from agent.errors import EnvironmentFault, RefusedError
from agent.executors import dockerfile

LARGEST = 1024 * 1024  # bytes of a Dockerfile or a .dockerignore
IGNORE = ".dockerignore"


def directory_of(workspace: Path, path: str) -> Path:
    """The directory that the build sees. Raises ArtifactError if there is none inside of the workspace."""
    whole = workspace.resolve()
    found = (whole / path).resolve()
    if not found.is_relative_to(whole) or not found.is_dir():
        raise ArtifactError(f"there is no directory {path}", hint="`context` is relative to the workspace")
    return found


def judge(directory: Path, name: str, args: Mapping[str, str], context: Context) -> None:
    """Raises RefusedError if a Dockerfile brings in what the operator does not allow, ArtifactError if it cannot be read."""
    brought = dockerfile.brought(_text(directory, name), args)
    for image in brought.images:
        context.permit_image(image)
    for line in brought.unclear:
        _refuse_unclear(line, context)
    for line in brought.fetched:
        hint = "COPY a file, or fetch it with RUN; ADD is for plain names of files"
        raise RefusedError(f"`{line}` could make the engine fetch something from its own network", hint=hint)


def patterns(directory: Path, name: str) -> list[str]:
    """The lines of .dockerignore, and one that keeps the Dockerfile."""
    lines = [line.strip() for line in _text(directory, IGNORE).splitlines()] if (directory / IGNORE).is_file() else []
    return [*(line for line in lines if line and not line.startswith("#")), f"!{name}"]


def pack(directory: Path, excludes: Callable[[str], bool], archive: Path) -> Path:
    """A tar archive of the files and links that are not left out; the same bytes for the same files. Raises EnvironmentFault."""
    try:
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as packed:
            for found in tree.walk(directory):
                if not excludes(found.name):
                    _add(packed, found)
    except OSError as error:
        raise EnvironmentFault(f"the context of the build cannot be packed: {error}", hint="is the disk full?") from error
    return archive


def _add(packed: tarfile.TarFile, found: tree.Found) -> None:
    entry = tarfile.TarInfo(found.name)
    entry.mtime = TIME
    if found.is_link:
        entry.type, entry.linkname = tarfile.SYMTYPE, found.target()
        packed.addfile(entry)
    elif found.is_file:
        with os.fdopen(found.open(), "rb") as file:
            status = os.fstat(file.fileno())
            entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & stat.S_IXUSR else 0o644
            packed.addfile(entry, file)


def _text(directory: Path, name: str) -> str:
    """A file of the context, by a path without links, so that the engine finds the same one."""
    place = directory / name
    if place.resolve() != place or not place.is_relative_to(directory):
        raise ArtifactError(f"{name} is no plain path in the context", hint="links are not followed to it")
    return revision.read(place, name, LARGEST)


def _refuse_unclear(line: str, context: Context) -> None:
    """Where any image will do, it need not be clear which one."""
    try:
        context.permit_image("*")
    except RefusedError as error:
        raise RefusedError(
            f"it is not clear which image `{line}` takes, and not every image is allowed", hint=error.hint
        ) from error
