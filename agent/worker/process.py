"""The worker's process: `python -I -m agent.worker REPOSITORY [WAKE-FD LOCK-FD]`. One per repository, an flock says so.

Started by a hook or a command when there is work and nobody listens; ends when nothing is left to wait for. While only people
or the clock can make it go on it is replaced by `idle.py`, with the lock and the bell held all the time.
"""

import fcntl
import gc
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import AgentError
from agent.log import Log
from agent.worker import wake
from agent.worker.bell import Bell
from agent.worker.messages import Ring
from agent.worker.places import Directories
from agent.worker.wiring import Worker, clock

PATIENCE = 10.0  # seconds to wait for the lock of a worker that is just leaving
LEAVING = 0.05  # seconds between two tries
GARBAGE = 20_000  # new objects until cycles among them are looked for: there are few, and a plan has many objects


def main(arguments: list[str]) -> int:
    """Run until there is nothing left to do; 0, or 1 if the repository cannot be worked on."""
    repository = Path(arguments[0]).resolve()
    home = str(repository / "pipeline")
    lock, bell = _passed_on(arguments[1:]) if len(arguments) == 3 else (_lock(home), -1)
    if lock < 0:
        return 0  # somebody else works, and listens
    try:
        return _work(repository, home, lock, bell)
    except AgentError as error:
        Log(sys.stderr, clock).fault("the worker cannot work", error)
        return 1


def _work(repository: Path, home: str, lock: int, descriptor: int) -> int:
    bell = Bell(home, descriptor)
    worker = Worker(Directories(repository), os.environ)
    gc.freeze()  # what is loaded by now stays
    gc.set_threshold(GARBAGE)
    gc.enable()
    if _is_dirty(lock):
        worker.recover()
    _mark(lock, f"{os.getpid()}\n")
    while True:
        bell.listen(lambda: worker.loop.post(Ring()))
        rest = worker.loop.run()
        bell.pause()  # a ring that comes from here on stays in the FIFO
        if worker.loop.is_needed():
            continue
        if rest:
            _idle(repository, rest, bell.descriptor, lock)
        bell.close()  # from here on whoever asks starts a worker of their own, which waits for the lock
        if not worker.loop.is_needed():
            _mark(lock, "")
            return 0


def _passed_on(descriptors: list[str]) -> tuple[int, int]:
    """Lock and bell as `idle` hands them over; from here on no process that is started keeps them when this one has died."""
    bell, lock = (int(one) for one in descriptors)
    for descriptor in (bell, lock):
        os.set_inheritable(descriptor, False)
    return lock, bell


def _lock(home: str) -> int:
    """Take the lock; -1 if a worker holds it and listens, as then it will see whatever there is to see."""
    file = os.open(f"{home}/worker.lock", os.O_RDWR | os.O_CREAT, 0o600)
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wake.ring(home) or time.monotonic() > give_up:
                os.close(file)
                return -1
            time.sleep(LEAVING)
        else:
            return file


def _idle(repository: Path, until: datetime, bell: int, lock: int) -> None:
    """Become the small process that only waits; does not return."""
    seconds = max(0.0, (until - datetime.now(UTC)).total_seconds())
    for descriptor in (bell, lock):
        os.set_inheritable(descriptor, True)
    _mark(lock, "")
    argv = [sys.executable, "-I", "-m", "agent.worker.idle", str(repository), str(seconds), str(bell), str(lock)]
    os.execv(sys.executable, argv)


def _is_dirty(lock: int) -> bool:
    """Whether the former worker did not leave in peace: its process id still stands in the file."""
    return bool(os.pread(lock, 32, 0).strip())


def _mark(lock: int, text: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, text.encode(), 0)
