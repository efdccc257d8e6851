"""Starting a process with posix_spawn(3), called so that the other threads go on meanwhile.

`os.posix_spawn` holds the interpreter's lock until the child has loaded its program: milliseconds on a busy machine, in which
nothing else of the worker moves. A foreign call lets go of it.
"""

import ctypes
import os
import signal
from collections.abc import Mapping, Sequence

USUAL = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # back to what they do by default
ROOM = 1024  # bytes, more than any C library's posix_spawnattr_t (336) and posix_spawn_file_actions_t (80) take
SETSIGDEF, SETSIGMASK, SETSID = 0x04, 0x08, 0x80  # of <spawn.h>, the same in glibc and musl

_libc = ctypes.CDLL(None)


def spawn(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """The number of a new process: in a session of its own, its three files /dev/null, all other files closed. Raises OSError."""
    pid = ctypes.c_int()
    words = _strings(argv)
    pairs = _strings([f"{name}={value}" for name, value in environment.items()])
    error = _libc.posix_spawn(ctypes.byref(pid), os.fsencode(argv[0]), _files, _attributes, words, pairs)
    if error:
        raise OSError(error, os.strerror(error), argv[0])
    return pid.value


def _strings(texts: Sequence[str]) -> "ctypes.Array[ctypes.c_char_p]":
    """A list for C. Raises ValueError for a text with a NUL, which C would cut there."""
    encoded = [os.fsencode(text) for text in texts]
    if any(b"\0" in text for text in encoded):
        raise ValueError("embedded null byte")
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def _nothing() -> "ctypes.Array[ctypes.c_char]":
    files = ctypes.create_string_buffer(ROOM)
    _libc.posix_spawn_file_actions_init(files)
    for number in (0, 1, 2):
        _libc.posix_spawn_file_actions_addopen(files, number, os.fsencode(os.devnull), os.O_RDWR, 0)
    return files


def _apart() -> "ctypes.Array[ctypes.c_char]":
    attributes, signals = ctypes.create_string_buffer(ROOM), ctypes.create_string_buffer(ROOM)
    _libc.posix_spawnattr_init(attributes)
    _libc.posix_spawnattr_setflags(attributes, ctypes.c_short(SETSIGDEF | SETSIGMASK | SETSID))
    _libc.sigemptyset(signals)
    _libc.posix_spawnattr_setsigmask(attributes, signals)
    for each in USUAL:
        _libc.sigaddset(signals, int(each))
    _libc.posix_spawnattr_setsigdefault(attributes, signals)
    return attributes


_files, _attributes = _nothing(), _apart()
