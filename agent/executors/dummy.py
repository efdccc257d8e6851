"""An executor for tests that starts nothing: it reads a few shell words itself and remembers what ran.

A script is made of lines `echo TEXT`, `exit N`, `sleep SECONDS`, `hang` and `# …`. Variables of the job's environment override
it: `DUMMY_EXIT` (exit code), `DUMMY_OUTPUT` (text), `DUMMY_REASON` (a reason), `DUMMY_FAULT` (message of an EnvironmentFault).
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Event, Lock

from agent.errors import EnvironmentFault
from agent.executors.base import Ending, Job, LogSink, Places
from agent.executors.watch import Watch
from agent.model.outcome import Reason

STARTED, STATUS, OUTPUT = "started", "status", "log"
TICK = 0.01


class DummyExecutor:
    """Keeps its state in the control directory, so it can be asked again after a crash; what ran dies with the worker."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.ran: list[Job] = []
        self.prepared: list[str] = []
        self.discarded: list[str] = []
        self._now = now
        self._lock = Lock()

    def place(self, job: Job) -> Places:
        """See Executor."""
        return Places(workspace=str(job.workspace), control=str(job.control))

    def prepare(self, job: Job) -> None:
        """Remember it."""
        self.prepared.append(job.id)

    def run(self, job: Job, log: LogSink, stop: Event) -> Ending:
        """See Executor."""
        if "DUMMY_FAULT" in job.env:
            raise EnvironmentFault(job.env["DUMMY_FAULT"])
        if (job.control / STARTED).exists():
            return self._again(job, log)
        watch = Watch(job, stop, self._now())
        if ending := watch.ending():
            return ending
        with self._lock:
            self.ran.append(job)
        (job.control / STARTED).touch()
        with (job.control / OUTPUT).open("ab", buffering=0) as output:

            def say(text: bytes) -> None:
                output.write(text)
                log.write(text)

            code = _perform(job, watch, say)
        ending = watch.ending() if code is None else _ending(job, code)
        assert ending
        (job.control / STATUS).write_text(f"{ending.reason or 'exit'} {code} {ending.message}")
        return ending

    def discard(self, job_id: str) -> None:
        """Remember it."""
        self.discarded.append(job_id)

    def sweep(self, keep: frozenset[str]) -> tuple[str, ...]:
        """Nothing outlives a dummy."""
        return ()

    def _again(self, job: Job, log: LogSink) -> Ending:
        log.write((job.control / OUTPUT).read_bytes())
        status = job.control / STATUS
        if not status.exists():
            return Ending(reason=Reason.LOST, message="the dummy died with its worker")
        word, code, message = status.read_text().split(" ", 2)
        reason = None if word == "exit" else Reason(word)
        return Ending(reason=reason, exit_code=int(code) if code != "None" else None, message=message)


def _ending(job: Job, code: int) -> Ending:
    reason = job.env.get("DUMMY_REASON")
    return Ending(reason=Reason(reason), message="as asked") if reason else Ending(exit_code=code)


def _perform(job: Job, watch: Watch, say: Callable[[bytes], None]) -> int | None:
    """The exit code, or None if it was asked to end."""
    if "DUMMY_OUTPUT" in job.env:
        say(job.env["DUMMY_OUTPUT"].encode())
    if "DUMMY_EXIT" in job.env:
        return int(job.env["DUMMY_EXIT"])
    for word, rest in _words(job.script):
        match word:
            case "echo":
                say(rest.strip("'\"").encode() + b"\n")
            case "exit":
                return int(rest or 0)
            case "sleep" | "hang":
                if _sleeps(float(rest or "inf"), watch):
                    return None
            case _:
                continue
    return 0


def _words(script: str) -> Iterator[tuple[str, str]]:
    for line in script.splitlines():
        word, _, rest = line.strip().partition(" ")
        yield word, rest.strip()


def _sleeps(seconds: float, watch: Watch) -> bool:
    """Sleep; True if it was asked to end meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if watch.due:
            watch.signal(lambda name: None)
            return True
        time.sleep(TICK)
    return False
