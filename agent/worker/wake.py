"""The bell of the worker: a FIFO. One byte wakes it; nobody reading it (ENXIO) means that there is no worker.

Nobody is forgotten if both sides keep this order. Who asks: commit the row, then `ring`; where that says no, start a worker,
which waits a few seconds for the lock. The worker that wants to leave: close the FIFO, look at the queue once more, then unlock.
"""

import os

NAME = "wake"


def make(directory: str) -> str:
    """The path of the FIFO in `<repo>.git/pipeline/`; it is made if it is missing. Raises OSError."""
    path = f"{directory}/{NAME}"
    if not os.access(path, os.F_OK):
        os.mkfifo(path, 0o600)
    return path


def listen(directory: str) -> int:
    """The worker's end, as a descriptor for select; never blocks, never at its end. Raises OSError.

    It is open for writing too: a FIFO whose last writer went away would be readable for ever.
    """
    return os.open(make(directory), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def drain(descriptor: int) -> bool:
    """Take all bytes that came; False if there were none."""
    rung = False
    try:
        while os.read(descriptor, 65536):
            rung = True
    except BlockingIOError:
        pass
    return rung


def ring(directory: str) -> bool:
    """Wake the worker; False if there is none."""
    try:
        descriptor = os.open(f"{directory}/{NAME}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # ENXIO: nobody reads; ENOENT: nobody ever did
        return False
    try:
        os.write(descriptor, b"\n")
    except BlockingIOError:
        pass  # full of rings
    except OSError:
        return False  # it left in between
    finally:
        os.close(descriptor)
    return True


def is_heard(directory: str) -> bool:
    """Whether somebody listens; wakes nobody."""
    try:
        os.close(os.open(f"{directory}/{NAME}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True
