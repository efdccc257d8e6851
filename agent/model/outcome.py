"""How things end: the statuses of CodePipeline (codepipeline.md 2.7), and what an action leaves behind."""

from datetime import datetime
from enum import StrEnum

from agent.model.value import Value


class Status(StrEnum):
    """Statuses of executions, stages and actions; not every one serves for each of the three."""

    QUEUED = "Queued"  # an execution that no stage has taken yet; ours, CodePipeline shows it as InProgress
    IN_PROGRESS = "InProgress"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    SUCCEEDED = "Succeeded"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    SKIPPED = "Skipped"
    ABANDONED = "Abandoned"

    __hash__ = str.__hash__  # an enum's own is not of C, and sets of these are asked all the time

    @property
    def is_final(self) -> bool:
        return self is not Status.IN_PROGRESS and self is not Status.QUEUED and self is not Status.STOPPING


class Reason(StrEnum):
    """Why an action did not succeed; `message` of the outcome says it in words."""

    EXIT = "exit"  # the script ended with an exit code other than 0
    TIMEOUT = "timeout"  # our deadline passed
    OUT_OF_MEMORY = "out-of-memory"
    STOPPED = "stopped"  # a person or fail-fast asked for it
    LOST = "lost"  # the engine, host or machine went away under it, and nobody knows how it would have ended
    IMAGE = "image"  # the image cannot be had, or may not run here
    ENGINE = "engine"  # the place to run is broken or missing
    ARTIFACT = "artifact"  # an input or a declared output is missing or unsafe
    VARIABLE = "variable"  # a ${{ }} did not resolve, or an output is malformed
    POLICY = "policy"  # the operator's config does not allow it
    REJECTED = "rejected"
    EXPIRED = "expired"
    INTERNAL = "internal"  # a bug of ours


class ArtifactRecord(Value, frozen=True, kw_only=True):
    """An artifact that an action produced. `digest` is sha256 over the deterministic archive, hex; `size` its bytes."""

    name: str
    digest: str
    size: int
    files: int


class TestSummary(Value, frozen=True, kw_only=True):
    """Sums over the JUnit reports of an action."""

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    failed: tuple[str, ...] = ()  # the first names of failed tests, at most 20


class Outcome(Value, frozen=True, kw_only=True):
    """How one attempt of an action ended. A failed script is an outcome, never an exception."""

    status: Status
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    outputs: dict[str, str] = {}
    artifacts: tuple[ArtifactRecord, ...] = ()
    tests: TestSummary | None = None
    image: str = ""  # what really ran, by digest or id
    resolved: dict[str, str] = {}  # configuration after ${{ }} was looked up (never a secret)
    timings: dict[str, float] = {}  # seconds by phase: queue, workspace, image, run, collect
    log_lines: int = 0
    log_bytes: int = 0
    link: str = ""  # where a person sees it elsewhere (a console)
    ended_at: datetime | None = None

    @property
    def succeeded(self) -> bool:
        return self.status is Status.SUCCEEDED
