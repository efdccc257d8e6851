"""The system calls of mounting, and what is mounted."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

NOSUID, NODEV = 2, 4
DETACH, NOFOLLOW = 2, 8
PAGE = 4096  # mount(2) reads no more of the options
TABLE = Path("/proc/self/mountinfo")

_libc = ctypes.CDLL(None, use_errno=True)


def mount_overlay(target: Path, options: str) -> None:
    """Mount an overlay. Raises OSError; ENAMETOOLONG if the options do not fit into what the kernel reads."""
    encoded = os.fsencode(options)
    if len(encoded) >= PAGE:
        raise OSError(36, "too many or too long layers for one overlay", str(target))
    if _libc.mount(b"overlay", os.fsencode(target), b"overlay", ctypes.c_ulong(NOSUID | NODEV), encoded) != 0:
        raise _error(target)


def unmount(target: Path) -> None:
    """Unmount all that is mounted here; what is still in use goes when its last user does. Silent if nothing is mounted."""
    while _libc.umount2(os.fsencode(target), NOFOLLOW) == 0:
        pass
    if ctypes.get_errno() == 16:  # EBUSY
        _libc.umount2(os.fsencode(target), NOFOLLOW | DETACH)


def mounted(under: Path) -> Iterator[Path]:
    """Mount points strictly below a directory."""
    below = os.fsencode(under) + b"/"
    for line in TABLE.read_bytes().splitlines():
        point = _unescape(line.split(b" ")[4])
        if point.startswith(below):  # as bytes: a busy machine has thousands of mounts
            yield Path(os.fsdecode(point))


def overlay_options(lowers: tuple[Path, ...], upper: Path, work: Path, extra: str = "") -> str:
    """The option string of an overlay; what means something to the kernel in a path is escaped."""
    lower = ":".join(_escape(path, ":") for path in lowers)
    return f"lowerdir={lower},upperdir={_escape(upper)},workdir={_escape(work)}" + (f",{extra}" if extra else "")


def _escape(path: Path, more: str = "") -> str:
    return "".join(f"\\{letter}" if letter in "\\," + more else letter for letter in str(path))


def _unescape(text: bytes) -> bytes:
    for letter in b" \t\n\\":
        text = text.replace(f"\\{letter:03o}".encode(), bytes([letter]))
    return text


def _error(target: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(target))
