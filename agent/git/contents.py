"""The contents of many objects as one stream: nothing but the object at hand is in memory, and of a large one only a piece."""

import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from agent.errors import EnvironmentFault
from agent.git.command import Git

_PIECE = 1 << 20


def contents(git: Git, oids: Iterable[str]) -> Iterator[tuple[int, Iterable[bytes]]]:
    """Size and content of each object, in order; a content is read before the next is asked for. Raises EnvironmentFault."""
    with tempfile.TemporaryFile() as asked:  # not a pipe, which would have to be fed while we read
        asked.write("".join(f"{oid}\n" for oid in oids).encode())
        asked.seek(0)
        command = git.argv("cat-file", "--batch", "--buffer")
        with subprocess.Popen(
            command, stdin=asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=git.environment, bufsize=_PIECE
        ) as process:
            assert process.stdout
            try:
                while header := process.stdout.readline():
                    yield _object(git, process.stdout, header)
                    process.stdout.read(1)
            finally:
                process.stdout.close()
                process.kill()


def mapped(git: Git, oid: str, directory: Path) -> mmap.mmap | bytes:
    """One content as a whole, which need not be in memory: git writes it to a file in `directory`. Raises EnvironmentFault."""
    with tempfile.TemporaryFile(dir=directory) as file:
        command = git.argv("cat-file", "blob", oid)
        if subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, env=git.environment, check=False).returncode:
            raise _missing(git, oid)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""


def _missing(git: Git, oid: str) -> EnvironmentFault:
    return EnvironmentFault(f"object {oid} is missing in {git.git_dir}", hint="run git fsck there")


def _object(git: Git, out: IO[bytes], header: bytes) -> tuple[int, Iterable[bytes]]:
    oid, _, rest = header.decode(errors="replace").strip().partition(" ")
    _, _, size = rest.partition(" ")
    if not size.isdigit():
        raise _missing(git, oid)
    return int(size), (out.read(int(size)),) if int(size) <= _PIECE else _pieces(out, int(size))


def _pieces(out: IO[bytes], left: int) -> Iterator[bytes]:
    while left:
        piece = out.read(min(left, _PIECE))
        if not piece:
            raise EnvironmentFault("git cat-file ended in the middle of an object")
        left -= len(piece)
        yield piece
