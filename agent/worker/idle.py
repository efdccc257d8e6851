"""The worker while nothing but people or the clock can make it go on: a few megabytes, no CPU.

The worker replaces itself by this module (exec), so the lock and the FIFO stay open all the time, and this module
replaces itself by the worker again. It imports as little as Python allows.
"""

import os
import select
import sys

LONGEST = 3600.0  # seconds; looks again at least every hour, as the clock may have been set


def wait(wake: int, seconds: float) -> None:
    """Return when a byte arrives on the FIFO or the time is over; the byte is left for the worker to read."""
    select.select([wake], [], [], min(seconds, LONGEST))


def main(arguments: list[str]) -> None:
    """`idle REPOSITORY SECONDS WAKE-FD LOCK-FD`"""
    repository, seconds, wake_fd, lock_fd = arguments
    wait(int(wake_fd), float(seconds))
    os.execv(sys.executable, [sys.executable, "-I", "-m", "agent.worker", repository, wake_fd, lock_fd])


if __name__ == "__main__":
    main(sys.argv[1:])
