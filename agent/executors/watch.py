"""What an executor does while a job runs: hand its output on, and see to it that it ends when it must."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

from agent.errors import EnvironmentFault
from agent.executors.base import Ending, Job, LogSink
from agent.model.outcome import Reason

POLL = 0.1  # seconds until a stop is noticed
AGAIN = 5.0  # seconds between KILLs that seem not to help
ASKED = "asked"  # in the control directory: the reason for which we ended the job, written before the first signal

Send = Callable[[str], None]  # a signal by its name: TERM or KILL


class Watch:
    """Says when a job must end and why, and goes from TERM to KILL. The deadline is counted by a clock that nobody sets back."""

    def __init__(self, job: Job, stop: Event, now: datetime) -> None:
        self.asked = _recorded(job.control)
        self._job = job
        self._stop = stop
        self._end = time.monotonic() + (job.deadline - now).total_seconds()
        self._next = 0.0
        self._signal = "TERM"

    @property
    def due(self) -> Reason | None:
        """Why the job must end now, or None."""
        if self.asked is None and self._stop.is_set():
            return Reason.STOPPED
        if self.asked is None and time.monotonic() >= self._end:
            return Reason.TIMEOUT
        return self.asked

    def until(self, ended: Callable[[float], bool], send: Send, poll: float = POLL) -> None:
        """Return when `ended(seconds)`, which waits that long at most, says so; signals the job meanwhile if it is due."""
        while not ended(poll):
            if self.due and time.monotonic() >= self._next:
                self.signal(send)

    def signal(self, send: Send) -> None:
        """TERM, and KILL once the grace is over; the reason is written down first, so that a successor tells the same ending."""
        if self.asked is None:
            self.asked = self.due
            _record(self._job.control, self.asked)
        with suppress(EnvironmentFault):  # an engine that is away: the output ends too, and we look again when it is back
            send(self._signal)
        self._next = time.monotonic() + (self._job.grace if self._signal == "TERM" else AGAIN)
        self._signal = "KILL"

    def ending(self) -> Ending | None:
        """The ending of a job that was asked to end, or None."""
        match self.due:
            case None:
                return None
            case Reason.TIMEOUT:
                return Ending(reason=Reason.TIMEOUT, message="took longer than its timeout allows and was ended")
            case reason:
                return Ending(reason=reason, message="was stopped")


class Pump:
    """Hands a stream to the sink in a thread of its own. A second stream replays the first: what was seen of it is dropped."""

    def __init__(self, log: LogSink) -> None:
        self._log = log
        self._count = 0
        self._thread = Thread()

    def start(self, stream: Iterable[bytes]) -> None:
        self._thread = Thread(target=self._run, args=(stream,), daemon=True)
        self._thread.start()

    def ended(self, seconds: float) -> bool:
        """Wait up to `seconds` for the end of the stream."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, stream: Iterable[bytes]) -> None:
        skip = self._count
        for chunk in stream:
            fresh = chunk[skip:]
            skip -= len(chunk) - len(fresh)
            self._count += len(fresh)
            if fresh:
                self._log.write(fresh)


def private_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file where a job may have left a trap: links are not followed, what is there is replaced."""
    with suppress(FileNotFoundError):
        path.unlink()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)


def _record(control: Path, reason: Reason | None) -> None:
    with suppress(OSError):
        private_file(control / ASKED, str(reason).encode())


def _recorded(control: Path) -> Reason | None:
    try:
        file = os.open(control / ASKED, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(file, "rb") as stream:
        text = stream.read(32)
    return next((reason for reason in (Reason.STOPPED, Reason.TIMEOUT) if reason.value.encode() == text), None)
