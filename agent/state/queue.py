"""The executions: queued, in flight, ended. Numbers count per pipeline from 1 and are never used twice."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from agent.state.database import Database

ACTIVE = ("Queued", "InProgress", "Stopping")  # model.outcome.Status, which the hooks do not import

_COLUMNS = "id, pipeline, number, commit_id, ref, status, created_at, started_at, ended_at, body, last_seq, published_seq"
_ACTIVE = "status IN ('Queued', 'InProgress', 'Stopping')"  # word for word as in the index


class Row(NamedTuple):
    """An execution as it stands in the table; `body` is the JSON of a model.execution.Execution, times are ISO 8601."""

    id: str
    pipeline: str
    number: int
    commit: str
    ref: str
    status: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    body: str
    last_seq: int
    published_seq: int


class Queue:
    """The table of executions, and the counters of their numbers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enqueue(self, fields: Mapping[str, Any], *, once: str = "") -> tuple[str, int]:
        """Add an execution with the next number of its pipeline; returns its id and number.

        `fields` are those of model.execution.Execution as JSON has them (times as ISO 8601 text), without `number`.
        `once` names what asks for it: where that name was used before, nothing is added, and the former id and number return.
        """
        with self._database.transaction():
            former = self._database.row("SELECT id, number FROM executions WHERE once = ?", (once,)) if once else None
            if former:
                return former[0], former[1]
            number = self.last_number(fields["pipeline"]) + 1
            self.count_from(fields["pipeline"], number)
            body = {**fields, "number": number}
            self._database.write(
                "INSERT INTO executions (id, pipeline, number, commit_id, ref, status, created_at, body, once)"
                " VALUES (?, ?, ?, ?, ?, 'Queued', ?, ?, ?)",
                (
                    *(body[key] for key in ("id", "pipeline", "number", "commit", "ref", "created_at")),
                    json.dumps(body),
                    once or None,
                ),
            )
        return fields["id"], number

    def last_number(self, pipeline: str) -> int:
        """The highest number given so far; 0 if none was."""
        row = self._database.row("SELECT number FROM counters WHERE pipeline = ?", (pipeline,))
        return int(row[0]) if row else 0

    def count_from(self, pipeline: str, number: int) -> None:
        """Make sure that the next number is higher than this one."""
        with self._database.transaction():
            self._database.write(
                "INSERT INTO counters VALUES (?, ?) ON CONFLICT (pipeline) DO UPDATE SET number = max(number, excluded.number)",
                (pipeline, number),
            )

    def get(self, execution: str) -> Row | None:
        return self._one("id = ?", execution)

    def by_number(self, pipeline: str, number: int) -> Row | None:
        return self._one("pipeline = ? AND number = ?", pipeline, number)

    def active(self) -> tuple[Row, ...]:
        """All that have not ended, oldest first."""
        return self._rows(f"WHERE {_ACTIVE} ORDER BY id")

    def open(self) -> tuple[Row, ...]:
        """Those that have not ended, and those that the notes do not wholly tell of; oldest first."""
        return tuple(sorted({*self.active(), *self.unpublished()}, key=lambda row: row.id))

    def unpublished(self) -> tuple[Row, ...]:
        """Those with events that the notes do not have yet, oldest first."""
        return self._rows("WHERE published_seq < last_seq ORDER BY id")

    def of_commit(self, commit: str) -> tuple[Row, ...]:
        """All of one commit, oldest first."""
        return self._rows("WHERE commit_id = ? ORDER BY id", commit)

    def of_origin(self, prefix: str) -> tuple[Row, ...]:
        """Those whose `once` begins with this, oldest first."""
        return self._rows("WHERE once >= ? AND once < ? ORDER BY id", prefix, prefix + "\U0010ffff")

    def history(
        self,
        *,
        pipeline: str = "",
        status: str = "",
        ref: str = "",
        commit: str = "",
        before: str = "",
        limit: int = 50,
    ) -> tuple[Row, ...]:
        """One page, newest first; an empty filter means any, `before` is the id that the former page ended with."""
        asked = {"pipeline": pipeline, "status": status, "ref": ref, "commit_id": commit}
        tests = [f"{column} = ?" for column, value in asked.items() if value] + (["id < ?"] if before else [])
        values = [value for value in (*asked.values(), before) if value]
        where = f"WHERE {' AND '.join(tests)}" if tests else ""
        return self._rows(f"{where} ORDER BY id DESC LIMIT ?", *values, limit)

    def set_status(self, execution: str, status: str, *, started_at: str | None = None, ended_at: str | None = None) -> None:
        """Set the status. A time that is given is set; the end is cleared while the status is not final."""
        with self._database.transaction():
            self._database.write(
                "UPDATE executions SET status = ?, started_at = coalesce(?, started_at),"
                " ended_at = CASE WHEN ? THEN NULL ELSE coalesce(?, ended_at) END WHERE id = ?",
                (status, started_at, status in ACTIVE, ended_at, execution),
            )

    def set_plan(self, execution: str, plan: bytes, policy: str = "") -> None:
        """Fix what an execution does, and the digest of the configuration that it does it under (state/policies.py)."""
        with self._database.transaction():
            self._database.write("UPDATE executions SET plan = ?, policy = ? WHERE id = ?", (plan, policy, execution))

    def plan(self, execution: str) -> bytes | None:
        """The plan as `set_plan` got it, None before it was fixed."""
        row = self._database.row("SELECT plan FROM executions WHERE id = ?", (execution,))
        return row[0] if row else None

    def mark_published(self, execution: str, seq: int) -> None:
        """The notes have the first `seq` events."""
        with self._database.transaction():
            self._database.write("UPDATE executions SET published_seq = max(published_seq, ?) WHERE id = ?", (seq, execution))

    def remove(self, execution: str) -> None:
        """Forget an execution that has ended, and its journal; its number stays used."""
        with self._database.transaction():
            if self._database.write(f"DELETE FROM executions WHERE id = ? AND NOT {_ACTIVE}", (execution,)):
                self._database.write("DELETE FROM events WHERE execution = ?", (execution,))
                self._database.write("DELETE FROM sent WHERE execution = ?", (execution,))

    def _one(self, test: str, *values: object) -> Row | None:
        found = self._rows(f"WHERE {test}", *values)
        return found[0] if found else None

    def _rows(self, rest: str, *values: object) -> tuple[Row, ...]:
        return tuple(Row(*row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM executions {rest}", values))
