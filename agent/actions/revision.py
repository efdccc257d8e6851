"""The files that an action hands to another system: its input artifacts and nothing else, or its commit if it takes none."""

import os
import shutil
import stat
import zipfile
from pathlib import Path

from agent.actions.remote import Work
from agent.artifacts import pack, tree
from agent.artifacts.base import ArtifactError
from agent.aws.session import Service
from agent.errors import EnvironmentFault

_TIME = (1980, 1, 1, 0, 0, 0)  # the same files make the same bytes


def directory_of(work: Work, path: str = "") -> Path:
    """The directory with the files; `path` is one inside of it. Raises ArtifactError if there is no such directory."""
    base = _inputs(work) if work.attempt.action.inputs else work.workspace()
    found = (base / path).resolve()
    if not found.is_relative_to(base.resolve()) or not found.is_dir():
        where = "the artifacts have" if work.attempt.action.inputs else "the commit has"
        raise ArtifactError(f"{where} no directory {path}", hint="`path` is relative to what the action gets")
    return found


def zipped(directory: Path, into: Path) -> Path:
    """An archive of all files, in the directory `into`; the same bytes for the same files. Raises EnvironmentFault."""
    archive = into / "revision.zip"
    try:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for found in tree.walk(directory):
                member = zipfile.ZipInfo(found.name, _TIME)
                member.compress_type = zipfile.ZIP_DEFLATED
                if found.is_link:
                    member.external_attr = (stat.S_IFLNK | 0o777) << 16
                    packed.writestr(member, found.target())
                elif found.is_file:
                    mode = 0o755 if found.status.st_mode & stat.S_IXUSR else 0o644
                    member.external_attr = (stat.S_IFREG | mode) << 16
                    with os.fdopen(found.open(), "rb") as content, packed.open(member, "w", force_zip64=True) as file:
                        shutil.copyfileobj(content, file, 1024 * 1024)
    except OSError as error:
        raise EnvironmentFault(f"the revision cannot be packed: {error}", hint="is the disk full?") from error
    return archive


def text_of(work: Work, path: str, limit: int) -> str:
    """The text of one of the files, of `limit` bytes at most. Raises ArtifactError."""
    folder, _, name = path.rpartition("/")
    return read(directory_of(work, folder) / name, path, limit)


def read(place: Path, said: str, limit: int) -> str:
    """The text of a regular file, of `limit` bytes at most, called `said` in what goes wrong. Raises ArtifactError."""
    try:
        with os.fdopen(tree.open_regular(place), "rb") as file:
            content = file.read(limit + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{said} cannot be read: {error}") from error
    if len(content) > limit:
        raise ArtifactError(f"{said} has more than {limit:,} bytes")
    return text


def uploaded(work: Work, path: str, s3: Service, bucket: str) -> str:
    """Bring the archive of the directory `path` to a bucket; its key, which is this attempt's for ever."""
    key = f"git-pipeline/{work.token}.zip"
    archive = zipped(directory_of(work, path), work.context.control(work.attempt))
    with archive.open("rb") as file:
        s3.upload(file, bucket, key)
    return key


def _inputs(work: Work) -> Path:
    """The artifacts, unpacked where the action wants them; again after a crash, over what was there."""
    place = work.context.control(work.attempt) / f"inputs-{work.token[-8:]}"
    place.mkdir(exist_ok=True)
    for wanted in work.attempt.action.inputs:
        record = work.attempt.inputs.get(wanted.name)
        if record is None:
            raise ArtifactError(f"artifact {wanted.name} was not produced by any action that ran", hint="was it optional?")
        pack.unpack(work.context.artifacts.fetch(record.digest), place, wanted.path)
    return place
