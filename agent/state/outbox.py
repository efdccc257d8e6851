"""What is to be told to the outside, until it is: queued in the transaction of the event, gone once the other side has it.

Each target is told in the order of the events. What could not be delivered for too long is given up, and stays to be seen.
"""

from typing import NamedTuple

from agent.state.database import Database, Transaction

KEPT = 1000  # given up messages; older ones are forgotten

_COLUMNS = "id, target, label, event, at, body, state, tries, next_at, error"


class Letter(NamedTuple):
    """One message for one target; `label` names the execution, times are ISO 8601, `state` is open or `given up`."""

    id: int
    target: str
    label: str
    event: str
    at: str
    body: bytes
    state: str
    tries: int
    next_at: str
    error: str


class Outbox:
    """The table of messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> Transaction:
        """A block that queues all or nothing."""
        return self._database.transaction()

    def add(self, target: str, label: str, event: str, at: str, body: bytes) -> None:
        """Queue a message, in the transaction of the caller; it is due at once."""
        with self._database.transaction():
            sql = "INSERT INTO outbox (target, label, event, at, body, next_at) VALUES (?, ?, ?, ?, ?, ?)"
            self._database.write(sql, (target, label, event, at, body, at))

    def is_first(self, message: str, execution: str) -> bool:
        """Whether a message of an execution was never queued before; from now on it was. In the transaction that queues it."""
        with self._database.transaction():
            return self._database.write("INSERT OR IGNORE INTO sent VALUES (?, ?)", (message, execution)) == 1

    def heads(self) -> tuple[Letter, ...]:
        """The oldest open message of each target: the one that is to be delivered next."""
        return self._rows("WHERE id IN (SELECT min(id) FROM outbox WHERE state = 'open' GROUP BY target) ORDER BY id")

    def head(self, target: str) -> Letter | None:
        """The one that is to be delivered next to this target."""
        found = self._rows("WHERE state = 'open' AND target = ? ORDER BY id LIMIT 1", target)
        return found[0] if found else None

    def delivered(self, letter: int) -> None:
        """The other side has it."""
        with self._database.transaction():
            self._database.write("DELETE FROM outbox WHERE id = ?", (letter,))

    def failed(self, letter: int, error: str, next_at: str) -> None:
        """It could not be delivered; when to try again."""
        with self._database.transaction():
            sql = "UPDATE outbox SET tries = tries + 1, error = ?, next_at = ? WHERE id = ?"
            self._database.write(sql, (error, next_at, letter))

    def give_up(self, letter: int, error: str) -> None:
        """It will not be delivered any more; those behind it come next."""
        with self._database.transaction():
            sql = "UPDATE outbox SET state = 'given up', tries = tries + 1, error = ? WHERE id = ?"
            self._database.write(sql, (error, letter))
            self._database.write("DELETE FROM outbox WHERE state = 'given up' AND id <= ?", (letter - KEPT,))

    def late(self) -> tuple[Letter, ...]:
        """The heads that failed before and are tried again."""
        return tuple(letter for letter in self.heads() if letter.tries)

    def given_up(self, since: str = "") -> tuple[Letter, ...]:
        """Those that were never delivered, of events since a time, oldest first."""
        return self._rows("WHERE state = 'given up' AND at >= ? ORDER BY id", since)

    def _rows(self, rest: str, *values: object) -> tuple[Letter, ...]:
        return tuple(Letter(*row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM outbox {rest}", values))
