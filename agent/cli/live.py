"""Executions as the server knows them: the state of this moment, from `state.db` and the log files."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from agent.cli.remote import Clone
from agent.errors import UsageError
from agent.execution.events import Event
from agent.execution.fold import fold
from agent.execution.state import ExecutionState
from agent.git.command import Git
from agent.model.execution import Execution
from agent.model.outcome import Status
from agent.model.plan import Plan
from agent.results import lognote, recording, summary
from agent.results.record import Record
from agent.state.database import open_existing
from agent.state.journal import Journal
from agent.state.outbox import Outbox
from agent.state.queue import Queue, Row
from agent.state.transitions import Transitions

_EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class Server:
    """A repository that the agent is installed in. A Source (cli/source.py); what was removed here is read from the notes."""

    def __init__(self, git: Git, now: datetime) -> None:
        self._home = Path(git.git_dir) / "pipeline"
        self._notes = Clone(git)
        self._now = now
        if not (self._home / "state.db").is_file():
            raise UsageError(f"git-pipeline has no state in {git.git_dir}", hint=f"git pipeline install {git.git_dir}")
        database = open_existing(str(self._home / "state.db"))
        self._queue, self._journal, self._outbox = Queue(database), Journal(database), Outbox(database)
        self._transitions = Transitions(database)

    def recent(self, limit: int) -> tuple[Record, ...]:
        return self._records(self._queue.history(limit=limit))

    def of_commit(self, commit: str) -> tuple[Record, ...]:
        return self._records(reversed(self._queue.of_commit(commit))) or self._notes.of_commit(commit)

    def numbered(self, number: int, pipeline: str = "") -> tuple[Record, ...]:
        if pipeline:
            row = self._queue.by_number(pipeline, number)
            return self._records([row]) if row else self._notes.numbered(number, pipeline)
        noted = {one.id: one for one in self._notes.numbered(number)}
        rows = (self._queue.by_number(name, number) for name in {one.pipeline for one in noted.values()} | self._pipelines())
        live = {one.id: one for one in self._records(row for row in rows if row)}
        return tuple(sorted((noted | live).values(), key=lambda one: one.id, reverse=True))

    def identified(self, execution: str) -> Record | None:
        row = self._queue.get(execution)
        return self._record(row) if row else self._notes.identified(execution)

    def latest(self, pipeline: str) -> Record | None:
        rows = self._queue.history(pipeline=pipeline, limit=1)
        return self._record(rows[0]) if rows else self._notes.latest(pipeline)

    def undelivered(self, since: datetime) -> tuple[str, ...]:
        """The destinations that do not take their notices now, or did not take some of events since then."""
        letters = (*self._outbox.late(), *self._outbox.given_up(since.isoformat()))
        return tuple(dict.fromkeys(letter.target for letter in letters))

    def commit(self, revision: str) -> str:
        return self._notes.commit(revision)

    def subjects(self, commits: Sequence[str]) -> dict[str, str]:
        return self._notes.subjects(commits)

    def logs(self, record: Record, attempts: Sequence[str]) -> dict[str, bytes]:
        directory = self._home / "executions" / record.id / "logs"
        files = {name: directory / f"{name}.log" for name in attempts}
        found = {name: lognote.readable(path.read_bytes()) for name, path in files.items() if path.is_file()}
        missing = [name for name in attempts if name not in found]
        return found | (self._notes.logs(record, missing) if missing else {})

    def closed(self) -> tuple[str, ...]:
        """The transitions that are closed, in words."""
        return tuple(
            f"the transition into {one.pipeline}/{one.stage} is closed by {summary.clean(one.by)}"
            + (f": {summary.clean(one.reason)}" if one.reason else "")
            for one in self._transitions.closed()
        )

    def _pipelines(self) -> set[str]:
        return {row.pipeline for row in (*self._queue.active(), *self._queue.history(limit=200))}

    def _records(self, rows: Iterable[Row]) -> tuple[Record, ...]:
        return tuple(self._record(row) for row in rows)

    def _record(self, row: Row) -> Record:
        execution = msgspec.json.decode(row.body, type=Execution)
        kept = self._queue.plan(row.id)
        plan = msgspec.json.decode(kept, type=Plan) if kept else Plan(pipeline=execution.pipeline, stages=())
        bodies = self._journal.read(row.id)
        state = fold(map(_EVENT.decode, bodies)) if bodies else ExecutionState(status=Status(row.status))
        return recording.make(execution, plan, state, self._now)
