"""Copying a directory that a script has written: times, modes and owners stay, no link is followed, devices are left out."""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from agent.artifacts.tree import open_regular

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source: Path, target: Path) -> int:
    """Copy the directory `source` to the new directory `target`; the bytes of the files in it. Set-id bits go. Raises OSError."""
    target.mkdir()
    here = os.open(source, _DIRECTORY)
    try:
        there = os.open(target, _DIRECTORY)
        try:
            return _copy_into(here, there)
        finally:
            os.close(there)
    finally:
        os.close(here)


def _copy_into(here: int, there: int) -> int:
    size = 0
    with os.scandir(here) as scan:
        for entry in scan:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                size += _copy_directory(entry.name, here, there)
            elif stat.S_ISREG(status.st_mode):
                size += _copy_file(entry.name, here, there)
            elif stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(entry.name, dir_fd=here), entry.name, dir_fd=there)
                _own(entry.name, there, status)
    _like(there, os.fstat(here))
    return size


def _copy_directory(name: str, here: int, there: int) -> int:
    source = os.open(name, _DIRECTORY, dir_fd=here)
    try:
        os.mkdir(name, 0o700, dir_fd=there)
        target = os.open(name, _DIRECTORY, dir_fd=there)
        try:
            return _copy_into(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_file(name: str, here: int, there: int) -> int:
    fresh = os.open(name, _NEW, 0o600, dir_fd=there)
    with os.fdopen(fresh, "wb") as target, os.fdopen(open_regular(name, here), "rb") as source:
        shutil.copyfileobj(source, target, 1024 * 1024)
        target.flush()
        status = os.fstat(source.fileno())
        _like(target.fileno(), status)
        return status.st_size


def _like(descriptor: int, status: os.stat_result) -> None:
    with suppress(PermissionError):  # an agent that is not root owns all it copies
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, status.st_mode & 0o1777)
    os.utime(descriptor, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _own(name: str, directory: int, status: os.stat_result) -> None:
    with suppress(PermissionError):
        os.chown(name, status.st_uid, status.st_gid, dir_fd=directory, follow_symlinks=False)
