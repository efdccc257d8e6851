"""The record of an execution: what machines read in `refs/notes/pipeline-record`, one JSON document a line.

A record holds all that the other notes are made of. Readers ignore keys they do not know; what changes its meaning gets a
new `schema`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache

import msgspec

from agent.model.execution import Rollback, TriggerType
from agent.model.ids import ExecutionId, Oid, PipelineName, RefName, StageName
from agent.model.outcome import ArtifactRecord, Reason, Status, TestSummary
from agent.model.plan import Group
from agent.model.value import Value

SCHEMA = 1


class LogRecord(Value, frozen=True, kw_only=True):
    """What an attempt printed: how much, how many of the bytes the log note leaves out, and the end of it if it failed."""

    lines: int = 0
    bytes: int = 0
    cut: int = 0
    tail: tuple[str, ...] = ()
    digest: str = ""  # sha256 of what the log note has of it


class AttemptRecord(Value, frozen=True, kw_only=True):
    """One attempt of an action. `timings` are seconds by phase: queue, workspace, image, run, collect."""

    attempt: int = 0
    status: Status | None = None  # None: not started
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    outputs: dict[str, str] = {}
    artifacts: tuple[ArtifactRecord, ...] = ()
    tests: TestSummary | None = None
    image: str = ""
    resolved: dict[str, str] = {}
    timings: dict[str, float] = {}
    log: LogRecord | None = None
    link: str = ""


class AnswerRecord(Value, frozen=True, kw_only=True):
    """What one person said; `tag` is the object id of the signed tag that says it."""

    at: datetime
    person: str
    approved: bool
    comment: str = ""
    tag: str = ""
    fingerprint: str = ""
    signers: str = ""  # digest of the list of signers that was in force then, in refs/notes/pipeline-signers


class ApprovalRecord(Value, frozen=True, kw_only=True):
    """Who is asked, and what they said."""

    groups: tuple[Group, ...] = ()
    not_author: bool = False
    message: str = ""
    url: str = ""
    deadline: datetime | None = None
    answers: tuple[AnswerRecord, ...] = ()


class ActionRecord(AttemptRecord, frozen=True, kw_only=True):
    """An action with its latest attempt; those before it stand in `former`, oldest first."""

    name: str
    kind: str = "run"  # run, approval, deploy, or the name of a provider
    continue_on_error: bool = False
    approval: ApprovalRecord | None = None
    secrets: tuple[str, ...] = ()  # names of those it was given
    former: tuple[AttemptRecord, ...] = ()

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """All of them, oldest first; the latest may not have started."""
        return (*self.former, self)


class RuleRecord(Value, frozen=True, kw_only=True):
    """One rule of a condition; `status` None: not evaluated."""

    provider: str
    name: str = ""
    status: Status | None = None
    message: str = ""


class ConditionRecord(Value, frozen=True, kw_only=True):
    """A condition that was looked at. `status` is a word of codepipeline.md 2.7, row "condition"."""

    gate: str
    status: str
    overridden_by: str = ""
    rules: tuple[RuleRecord, ...] = ()


class StageRecord(Value, frozen=True, kw_only=True):
    """A stage. `status` None: not entered; it waits if it was arrived at."""

    name: StageName
    status: Status | None = None
    attempt: int = 1
    arrived_at: datetime | None = None
    entered_at: datetime | None = None
    ended_at: datetime | None = None
    message: str = ""
    rolled_back_by: int = 0  # the number of the execution that took its place after a failure
    conditions: tuple[ConditionRecord, ...] = ()
    actions: tuple[ActionRecord, ...] = ()


class Link(Value, frozen=True, kw_only=True):
    """An end of an execution in the chain (results/chain.py): its place, the digest of the link before, and its own."""

    sequence: int
    previous: str
    digest: str


class Record(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One execution. `timings` are seconds: publish is what writing the notes took so far."""

    id: ExecutionId  # first, so that lines sort by it
    schema: int
    pipeline: PipelineName
    number: int
    commit: Oid
    ref: RefName
    since: str  # the commit before: what this one is compared with
    trigger: TriggerType
    actor: str
    status: Status
    message: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    written_at: datetime
    stopped_by: str = ""
    rollback: Rollback | None = None
    variables: dict[str, str] = {}
    definition: str = ""
    timings: dict[str, float] = {}
    stages: tuple[StageRecord, ...] = ()
    policy: str = ""  # sha256 of the operator's configuration that was in force when it started
    signers: str = ""  # as in AnswerRecord, when it started
    provenance: str = ""  # sha256 of its lines in refs/notes/pipeline-provenance
    sequence: int = 0  # its place in the chain of what has ended; 0: it has none yet
    previous: str = ""  # the digest of the link before
    links: tuple[Link, ...] = ()  # its former ends, from before it was retried
    signature: str = ""  # the last field: SSHSIG of the line with this empty

    @property
    def label(self) -> str:
        """How people call it: release #42."""
        return f"{self.pipeline} #{self.number}"

    @property
    def handle(self) -> str:
        """How people call it on a command line: release#42."""
        return f"{self.pipeline}#{self.number}"


class Audit(Value, frozen=True, kw_only=True):
    """What a record names of the operator's configuration; `answers` are the signers that were in force, by tag."""

    policy: str = ""
    signers: str = ""
    answers: dict[str, str] = {}

    def of_answer(self, tag: str) -> str:
        return self.answers.get(tag, self.signers) if tag else ""


class _Line(Value, frozen=True, kw_only=True):
    id: str = ""


def encode(record: Record) -> bytes:
    """One line of JSON, without its newline."""
    return msgspec.json.encode(record)


def decode(note: bytes) -> tuple[Record, ...]:
    """The records of a note, in its order. A line that is no record of a schema we know is passed over."""
    return tuple(record for line in note.splitlines() if (record := _decode(line)) and record.schema == SCHEMA)


@lru_cache(maxsize=8)  # the same line is read several times in a row, and may be long
def _decode(line: bytes) -> Record | None:
    try:
        return msgspec.json.decode(line, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def merge(old: bytes | None, record: Record) -> bytes:
    """The note with this record in it, in the place of its former version. Every other line stays byte for byte.

    Records stand in the order of their creation; a line we cannot read stays behind the one it follows.
    """
    lines = [(key, line) for key, line in _keyed((old or b"").split(b"\n")) if key != record.id]
    lines.append((record.id, encode(record)))
    return b"".join(line + b"\n" for _, line in sorted(lines, key=lambda entry: entry[0]))


def _keyed(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    key = ""
    for line in lines:
        if line:
            own = line_id(line)
            key = own or key
            yield key, line


def line_id(line: bytes) -> str:
    """The execution id that a line of a note carries; empty if it is not ours."""
    try:
        return msgspec.json.decode(line, type=_Line).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def of(note: bytes | None, execution: str) -> Record | None:
    """The record of one execution in a note."""
    return next((record for record in decode(note or b"") if record.id == execution), None)


def line_of(note: bytes | None, execution: str) -> bytes:
    """The line of one execution in a note, without its newline; empty if there is none."""
    return next((line for line in (note or b"").split(b"\n") if line_id(line) == execution), b"")


def says_the_same(one: Record, other: Record) -> bool:
    """True if two records differ in nothing but when and how fast they were written, and how they were sealed."""
    return _told(one) == _told(other)


def _told(record: Record) -> Record:
    return msgspec.structs.replace(
        record, written_at=record.created_at, timings={}, sequence=0, previous="", links=(), signature=""
    )
