"""A host as a deployment needs it: short questions, and jobs that need neither us nor the connection."""

from collections.abc import Callable, Iterable
from threading import Event
from typing import NamedTuple, Protocol

from agent.executors.base import Ending, Job, LogSink, Places
from agent.executors.ssh import SshExecutor
from agent.model import host as model


class Said(NamedTuple):
    """What a question was answered with; `output` has the errors after the answer."""

    code: int
    output: str

    @property
    def last(self) -> str:
        """The last line, for messages."""
        return self.output.strip().rpartition("\n")[2]


class Host(Protocol):
    """One host of a group. Safe from several threads."""

    name: str
    zone: str
    about: model.Host

    def call(self, script: str, stdin: Callable[[], Iterable[bytes | memoryview]] = tuple, timeout: float = 60.0) -> Said:
        """Run a short script that may be run again. Raises EnvironmentFault if the host cannot be asked."""

    def place(self, job: Job) -> Places:
        """Where a job sees its directories."""

    def stage(self, job: Job) -> None:
        """Bring a job there that `perform` will start. Raises EnvironmentFault."""

    def perform(self, job: Job, log: LogSink, stop: Event) -> Ending:
        """As `Executor.run`."""


class SshHost:
    """A Host over SSH."""

    def __init__(self, about: model.Host, executor: SshExecutor) -> None:
        self.name, self.zone, self.about = about.name, about.zone, about
        self._executor = executor

    def call(self, script: str, stdin: Callable[[], Iterable[bytes | memoryview]] = tuple, timeout: float = 60.0) -> Said:
        """See Host; asked a second time on a new connection if the first one is lost."""
        answer = self._executor.remote.call(script, stdin, timeout)
        return Said(answer.status, (answer.output + answer.errors).decode(errors="replace"))

    def place(self, job: Job) -> Places:
        """See Host."""
        return self._executor.place(job)

    def stage(self, job: Job) -> None:
        """See Host."""
        self._executor.stage(job)

    def perform(self, job: Job, log: LogSink, stop: Event) -> Ending:
        """See Host."""
        return self._executor.run(job, log, stop)
