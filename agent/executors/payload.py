"""What travels to a host: tars that GNU tar and busybox both read, made once and sent to any number of hosts."""

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.errors import EnvironmentFault

WORKSPACE = "workspace.tar"  # in the control directory
CHUNK = 1024 * 1024


def workspace_payload(workspace: Path, control: Path) -> Path:
    """The workspace as a tar in the control directory; the same file when asked again. Raises EnvironmentFault.

    It has no end: what `pack` makes goes behind it.
    """
    path = control / WORKSPACE
    if path.exists():
        return path
    fresh = control / f".{WORKSPACE}.new"
    try:
        with tarfile.open(fresh, "w:", format=tarfile.GNU_FORMAT) as tar:
            tar.add(workspace, "workspace", filter=_nobodys)
            end = tar.offset
        os.truncate(fresh, end)
        fresh.replace(path)
    except OSError as error:
        raise EnvironmentFault(f"{workspace} cannot be packed for its hosts: {error}", hint="is the disk full?") from error
    return path


def pack(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """A tar of small files: content and mode by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.GNU_FORMAT) as tar:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def chunks(path: Path) -> Iterator[bytes]:
    """A file, piece by piece."""
    with path.open("rb") as file:
        while data := os.read(file.fileno(), CHUNK):
            yield data


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
