"""Writes what an execution leaves in git: the log note first, then the record that speaks of it, then the note for people."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from agent.errors import EnvironmentFault
from agent.execution.state import ExecutionState
from agent.model.execution import Execution
from agent.model.ids import NOTES, PROVENANCE, SIGNERS, ExecutionId, attempt_id
from agent.model.outcome import Outcome
from agent.model.plan import Plan, PlannedStage
from agent.model.value import Value
from agent.results import audit, lognote, note, provenance, record, recording
from agent.results.audit import Standing
from agent.results.chain import Chain
from agent.trust import evidence

PEOPLE, RECORD, LOG = NOTES
TOTAL = 64 * 1024**2  # bytes of logs of one execution in its note, shared by its actions

Change = Callable[[bytes | None], bytes | None]


class Notes(Protocol):
    """What a publisher asks of agent.git.notes.Notes."""

    def edit(self, ref: str, changes: Mapping[str, Change], message: str, when: datetime) -> object:
        """One commit on `ref` with all changes; a change gets the note (None: there is none) and returns the new one."""

    def read(self, ref: str, commit: str) -> bytes | None: ...


class Ended(Value, frozen=True):
    """An attempt that ended, and where it logged."""

    stage: str
    action: str
    attempt: int
    outcome: Outcome
    log: Path


class Publisher:
    """Publishes executions. Writing the same thing again changes nothing; the commit need not exist any more."""

    def __init__(
        self,
        notes: Notes,
        cap: Callable[[ExecutionId], int],
        clock: Callable[[], float],
        chain: Chain | None = None,
        standing: Callable[[ExecutionId], Standing] | None = None,
    ) -> None:
        """`cap`: bytes of one action's log in the note (config.Logs.note); `clock` counts seconds.

        With a `chain` records are signed; `standing` tells what of the operator's configuration that of an execution names.
        """
        self._notes = notes
        self._cap = cap
        self._clock = clock
        self._chain = chain
        self._standing = standing
        self._listed: set[str] = set()  # signers that are published
        self._spent: dict[str, float] = {}
        self._last: dict[str, ExecutionState] = {}  # as it was published last, of what goes on

    def publish(self, execution: Execution, plan: Plan, state: ExecutionState, logs: Path, now: datetime) -> None:
        """Write the notes of this execution as it stands; `logs` is its directory of log files.

        Raises EnvironmentFault if git or the disk refuse; what was not written then is written by the next call.
        """
        began = self._clock()
        try:
            self._publish(execution, plan, state, logs, now)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot publish {execution.label}: {error}", hint="make room on the disk; what is missing is written later"
            ) from error
        spent = self._spent.pop(execution.id, 0.0) + self._clock() - began
        self._last.pop(execution.id, None)
        if not state.status.is_final:
            self._spent[execution.id] = spent
            self._last[execution.id] = state

    def _publish(self, execution: Execution, plan: Plan, state: ExecutionState, logs: Path, now: datetime) -> None:
        before = self._notes.read(RECORD, execution.commit)
        former = record.of(before, execution.id)
        kept = _kept(former, self._last.get(execution.id), state)
        changed = [stage for stage in plan.stages if stage.name not in kept]
        known = _known_logs(former, kept) if former else {}
        fresh = [
            one
            for one in _ended(execution, changed, state, logs)
            if attempt_id(execution.id, one.stage, one.action, one.attempt) not in known and one.log.is_file()
        ]
        read = [self._read(execution, plan, one) for one in fresh]
        made = recording.make(
            execution,
            plan,
            state,
            now,
            logs=known | {one.id: log for one, log in read},
            timings=self._timings(execution, former),
            audit=self._audited(execution, former, state, now),
            kept=kept,
        )
        self._write(made, record.line_of(before, execution.id), [one for one, _ in read], now)

    def _write(self, made: record.Record, former: bytes, logs: list[lognote.Section], now: datetime) -> None:
        commit, message = made.commit, f"{made.label}: {made.status}\n\nExecution: {made.id}\n"
        if any(one.body for one in logs):
            printed = [one for one in logs if one.body]
            self._notes.edit(LOG, {commit: lambda old: lognote.merge(old, printed)}, message, now)
        made = self._with_provenance(made, message, now)
        known = record.of(former, made.id)
        if known is None or not record.says_the_same(known, made) or (self._chain and not known.signature):
            self._write_record(made, former, message, now)
        # Read inside the change: of two writers the last one has both records.
        self._notes.edit(PEOPLE, {commit: lambda _: self._render(commit)}, message, now)

    def _write_record(self, made: record.Record, former: bytes, message: str, now: datetime) -> None:
        if self._chain is None:
            self._notes.edit(RECORD, {made.commit: lambda old: record.merge(old, made)}, message, now)
            return
        sealed, head = self._chain.seal(made, former)
        try:
            self._notes.edit(RECORD, {made.commit: lambda old: record.merge(old, sealed)}, message + head.trailer, now)
        except BaseException:
            self._chain.forget()
            raise
        self._chain.published(head)

    def _with_provenance(self, made: record.Record, message: str, now: datetime) -> record.Record:
        """The record with the digest of the provenance of its artifacts, which is published before it."""
        lines = provenance.lines(made, self._chain.key) if self._chain and made.status.is_final else b""
        if not lines:
            return made
        self._notes.edit(PROVENANCE, {made.commit: lambda old: provenance.merge(old, made.id, lines)}, message, now)
        return msgspec.structs.replace(made, provenance=evidence.digest(lines))

    def _audited(
        self, execution: Execution, former: record.Record | None, state: ExecutionState, now: datetime
    ) -> record.Audit | None:
        """What the record names of the configuration; the list of signers is published before it."""
        if self._standing is None:
            return None
        standing = self._standing(execution.id)
        found = audit.of(former, state, standing)
        for signers in (standing.signers, standing.signers_now):
            name = evidence.digest(signers)
            if name in audit.names(found) - self._listed:
                key = name[: len(execution.commit)]
                self._notes.edit(SIGNERS, {key: partial(_instead, signers)}, f"Signers {name}\n", now)
                self._listed.add(name)
        return found

    def _render(self, commit: str) -> bytes:
        return note.render(record.decode(self._notes.read(RECORD, commit) or b"")).encode()

    def _timings(self, execution: Execution, former: record.Record | None) -> dict[str, float]:
        spent = self._spent.get(execution.id)
        return {"publish": round(spent, 3)} if spent is not None else (former.timings if former else {})

    def _read(self, execution: Execution, plan: Plan, one: Ended) -> tuple[lognote.Section, record.LogRecord]:
        cap = min(self._cap(execution.id), TOTAL // max(1, sum(len(stage.actions) for stage in plan.stages)))
        where = f"the whole log is on the server, until gc: pipeline/executions/{execution.id}/logs/{one.log.name}"
        body, cut = lognote.shorten(one.log, cap, where)
        measured = lognote.measure(one.log, one.outcome.log_lines or body.count(b"\n"))
        section = lognote.section(execution, one.stage, one.action, one.attempt, one.outcome.status.value, body)
        digest = evidence.digest(section.body) if section.body else ""
        return section, msgspec.structs.replace(measured, cut=cut, digest=digest)


def _instead(content: bytes, _: bytes | None) -> bytes:
    return content


def _kept(former: record.Record | None, last: ExecutionState | None, state: ExecutionState) -> dict[str, record.StageRecord]:
    """The stages that the record tells already as they are: a state that did not change is the same object."""
    if former is None or last is None:
        return {}
    return {stage.name: stage for stage in former.stages if last.stages.get(stage.name) is state.stages.get(stage.name)}


def _ended(execution: Execution, stages: Iterable[PlannedStage], state: ExecutionState, logs: Path) -> Iterator[Ended]:
    """The attempts that ended, in the order of the plan."""
    for stage in stages:
        reached = state.stages[stage.name].actions if stage.name in state.stages else {}
        for action in stage.actions:
            if found := reached.get(action.name):
                latest = (found.outcome,) if found.outcome else ()
                for number, outcome in enumerate((*found.former, *latest), found.attempt - len(found.former)):
                    name = attempt_id(execution.id, stage.name, action.name, number)
                    yield Ended(stage.name, action.name, number, outcome, logs / f"{name}.log")


def _known_logs(former: record.Record, kept: Collection[str]) -> dict[str, record.LogRecord]:
    """What a record says of logs, but for the stages that stay: they are published already, and their files may be gone."""
    return {
        attempt_id(former.id, stage.name, action.name, attempt.attempt): attempt.log
        for stage in former.stages
        if stage.name not in kept
        for action in stage.actions
        for attempt in action.attempts
        if attempt.log and attempt.ended_at
    }
