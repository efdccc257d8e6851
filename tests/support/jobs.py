"""Jobs for tests of executors, sinks that remember, and a child process that can be killed while it runs a job."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import msgspec

from agent.executors.base import Ending, Executor, Job
from agent.executors.logs import LogFile


def now() -> datetime:
    """The real time: executors count deadlines by it."""
    return datetime.now(UTC)


def in_seconds(seconds: float) -> datetime:
    return now() + timedelta(seconds=seconds)


class Jobs:
    """Makes jobs with directories of their own under `root`; `defaults` go into each."""

    def __init__(self, root: Path, execution: str, **defaults: object) -> None:
        self._root = root
        self._execution = execution
        self._defaults = defaults
        self._count = 0

    def __call__(self, script: str, **given: object) -> Job:
        self._count += 1
        name = f"{self._execution}-{self._count}"
        for part in ("workspace", "control"):
            (self._root / name / part).mkdir(parents=True)
        home = self._root / name
        fields = {"deadline": in_seconds(120), "execution": self._execution, "labels": {"action": "test"}, "grace": 0.5}
        places = {"id": name, "script": script, "workspace": home / "workspace", "control": home / "control"}
        return Job(**{**fields, **places, **self._defaults, **given})


def log_path(job: Job) -> Path:
    return job.control.parent / "log"


def printed(job: Job) -> bytes:
    """What the sink has of this job so far."""
    path = log_path(job)
    return path.read_bytes() if path.exists() else b""


def run(executor: Executor, job: Job, stop: Event | None = None) -> Ending:
    """Run to the end, into the log file of the job."""
    with LogFile(log_path(job)) as log:
        return executor.run(job, log, stop or Event())


class Running:
    """A job in a thread."""

    def __init__(self, executor: Executor, job: Job) -> None:
        self.stop = Event()
        self._ending: list[Ending] = []
        self._thread = Thread(target=lambda: self._ending.append(run(executor, job, self.stop)), daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def ending(self, seconds: float = 60) -> Ending:
        self._thread.join(seconds)
        assert self._ending, "the job did not end"
        return self._ending[0]


class Worker:
    """A process of its own that runs a job with `make()`, a function named `module:name`, so that it can be killed with -9."""

    def __init__(self, make: str, job: Job, *arguments: str) -> None:
        encoded = msgspec.json.encode(job, enc_hook=str)
        command = [sys.executable, "-W", "ignore", "-m", "tests.support.jobs", make, *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert self._process.stdin
        self._process.stdin.write(encoded)
        self._process.stdin.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        return self._process.wait(60)


def _decode(kind: type, value: object) -> object:
    assert kind is Path or issubclass(kind, Path)
    return Path(str(value))


def _main() -> None:
    module, _, name = sys.argv[1].partition(":")
    make: Callable[..., Executor] = getattr(__import__(module, fromlist=[name]), name)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job, dec_hook=_decode)
    run(make(*sys.argv[2:]), job)


if __name__ == "__main__":
    _main()
