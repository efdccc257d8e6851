"""The contract of the places where an attempt can run.

Built in: `docker` (a container), `local` (a process group of the agent's machine), `ssh` (a host), `dummy` (tests).
"""

from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Protocol

from agent.model.outcome import Reason
from agent.model.plan import Resources, Service
from agent.model.value import Value

SECRETS_ENV = ".env"  # read by the shell around the script, so that no value stands in an argv or in what an engine keeps


class Job(Value, frozen=True, kw_only=True):
    """One attempt to run a script.

    `id` is unique for ever (`ids.attempt_id`); everything that an executor leaves behind carries it and `execution`.
    `workspace` is a private, writable directory with the commit and the inputs. `control` is a private directory that
    already exists; the script may write the file `output` in it, and an executor may keep its own files there. Both
    are host paths; `env` speaks of the places where the job will see them, which `Executor.place` tells.
    """

    id: str
    execution: str
    labels: dict[str, str]  # for people: pipeline, number, stage, action, attempt
    script: str
    workspace: Path
    control: Path
    deadline: datetime
    shell: str = "sh"  # sh | bash | any command of the image; sh and bash run with -e
    image: str = ""
    env: dict[str, str] = {}
    workdir: str = ""  # relative to the workspace
    network: bool = False
    user: str = ""
    services: tuple[Service, ...] = ()
    resources: Resources = Resources()
    mounts: dict[str, str] = {}  # host path -> path as the job sees it; read-write directories such as caches
    secrets: Path | None = None  # a host directory in memory: a file per secret, and SECRETS_ENV with what is to be exported
    grace: float = 10.0  # seconds between TERM and KILL


class Ending(Value, frozen=True, kw_only=True):
    """How a job ended. `reason` None: by itself, with `exit_code`. Never for a script that merely failed: an exception."""

    exit_code: int | None = None
    reason: Reason | None = None
    message: str = ""
    image: str = ""
    timings: dict[str, float] = {}  # seconds: image, start, run


class Places(Value, frozen=True, kw_only=True):
    """Where a job sees its directories."""

    workspace: str
    control: str
    secrets: str = ""


class LogSink(Protocol):
    """Takes the output of a job, stdout and stderr in one stream. Never blocks for long; may be called from any one thread."""

    def write(self, data: bytes) -> None: ...

    def notice(self, text: str) -> None:
        """One line of ours, such as the progress of a pull; not part of the script's output."""


class Executor(Protocol):
    """Runs jobs in one kind of place. Called from several threads; one thread per job."""

    def place(self, job: Job) -> Places:
        """Where the job will see its workspace and control directories."""

    def prepare(self, job: Job) -> None:
        """Get ready to start this job soon: advice, may do nothing, must not run any of the script. Undone by `discard`."""

    def run(self, job: Job, log: LogSink, stop: Event) -> Ending:
        """Run the job to its end, or find the one that already runs or ran under this id, and wait for it.

        Called again after a crash with the same job it never starts the script twice: it re-attaches, writes the whole log to
        `log` from its first byte (the sink drops what it has), and returns the same ending. A job that was started and of which
        nobody can tell the end any more ends with Reason.LOST. When `stop` is set or the deadline passes, the job and
        all it started are ended for certain: TERM, `grace` seconds, KILL; reason STOPPED or TIMEOUT.
        Raises EnvironmentFault only if the place itself is broken (reason ENGINE).
        """

    def discard(self, job_id: str) -> None:
        """Remove everything kept for this job. Called after its end is journalled; safe twice, and for unknown ids."""

    def sweep(self, keep: frozenset[str]) -> tuple[str, ...]:
        """End and remove all of this repository's jobs whose execution is not in `keep`; returns what was removed, in words.

        Finds them by our own labels with this repository's identity, never by a wider filter.
        """
