"""The journal: every execution's events, in order, never changed. `seq` counts from 1."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.state.database import Conflict, Database


class Entry(NamedTuple):
    """An event with its place among those of all executions, and in its own one's journal."""

    position: int
    execution: str
    seq: int
    body: bytes


class Journal:
    """The table of events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, execution: str, seq: int, at: str, bodies: Sequence[bytes], beside: Callable[[], None] | None = None) -> int:
        """Add events after the first `seq` ones, all or none of them, and return the new length.

        What `beside` writes stands or falls with them.
        Raises EnvironmentFault if the journal does not end at `seq`: somebody else wrote to it.
        """
        with self._database.transaction():
            last = self.length(execution)
            if last != seq:
                raise _second_writer(execution, seq, last)
            rows = [(execution, seq + index, at, body) for index, body in enumerate(bodies, 1)]
            try:
                self._database.write_many("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
            except Conflict as error:
                raise _second_writer(execution, seq, last) from error
            self._database.write("UPDATE executions SET last_seq = ? WHERE id = ?", (seq + len(rows), execution))
            if beside:
                beside()
        return seq + len(rows)

    def read(self, execution: str, after: int = 0) -> tuple[bytes, ...]:
        """The events after the first `after` ones, oldest first."""
        rows = self._database.rows("SELECT body FROM events WHERE execution = ? AND seq > ? ORDER BY seq", (execution, after))
        return tuple(row[0] for row in rows)

    def length(self, execution: str) -> int:
        """How many events there are."""
        row = self._database.row("SELECT max(seq) FROM events WHERE execution = ?", (execution,))
        return int(row[0] or 0) if row else 0

    def position(self) -> int:
        """The place of the youngest event among those of all executions; 0 if there is none."""
        row = self._database.row("SELECT max(rowid) FROM events")
        return int(row[0] or 0) if row else 0

    def after(self, position: int, limit: int = 1000) -> tuple[Entry, ...]:
        """The events of all executions that came after this place, oldest first."""
        rows = self._database.rows(
            "SELECT rowid, execution, seq, body FROM events WHERE rowid > ? ORDER BY rowid LIMIT ?", (position, limit)
        )
        return tuple(Entry(*row) for row in rows)

    def last(self, limit: int) -> tuple[Entry, ...]:
        """The youngest events of all executions, oldest first."""
        rows = self._database.rows("SELECT rowid, execution, seq, body FROM events ORDER BY rowid DESC LIMIT ?", (limit,))
        return tuple(Entry(*row) for row in reversed(rows))

    def last_at(self) -> str:
        """The time of the youngest event of all, ISO 8601; empty if there is none."""
        row = self._database.row("SELECT max(at) FROM events")
        return str(row[0] or "") if row else ""


def _second_writer(execution: str, expected: int, found: int) -> EnvironmentFault:
    return EnvironmentFault(
        f"the journal of {execution} has {found} events where {expected} were expected: a second worker writes to it",
        hint="end all workers of this repository, then run `git pipeline resume`",
    )
