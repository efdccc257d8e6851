"""Pushes as the hooks saw them: pending before the refs move, confirmed after, settled once all they start is queued.

A push that `post-receive` never confirmed stays pending; whoever looks at the refs next settles or drops it.
"""

from typing import NamedTuple

from agent.state.database import Database

PENDING = "pending"
CONFIRMED = "confirmed"
SETTLED = "settled"
DROPPED = "dropped"

KEPT = 1000  # pushes that are over; older ones are forgotten


class Recorded(NamedTuple):
    """A push as it stands in the table; `process` names the process of git that receives it, `body` is JSON."""

    id: str
    received_at: str
    process: str
    state: str
    body: str

    @property
    def is_open(self) -> bool:
        return self.state in {PENDING, CONFIRMED}


_COLUMNS = "id, received_at, process, state, body"


class Pushes:
    """The table of pushes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, push: Recorded) -> None:
        """Add a push. Raises Conflict if the id is taken."""
        with self._database.transaction():
            self._database.write("INSERT INTO pushes VALUES (?, ?, ?, ?, ?)", push)

    def get(self, push_id: str) -> Recorded | None:
        row = self._database.row(f"SELECT {_COLUMNS} FROM pushes WHERE id = ?", (push_id,))
        return Recorded(*row) if row else None

    def of_process(self, process: str) -> Recorded | None:
        """The last push that this process received."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM pushes WHERE process = ? ORDER BY rowid DESC LIMIT 1", (process,))
        return Recorded(*row) if row else None

    def open(self) -> tuple[Recorded, ...]:
        """Those that are neither settled nor dropped, in the order in which they were recorded."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM pushes WHERE state IN ('pending', 'confirmed') ORDER BY received_at, rowid"
        )
        return tuple(Recorded(*row) for row in rows)

    def settled_between(self, start: str, end: str) -> tuple[Recorded, ...]:
        """The settled ones that were received in this time."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM pushes WHERE state = 'settled' AND received_at BETWEEN ? AND ?", (start, end)
        )
        return tuple(Recorded(*row) for row in rows)

    def confirm(self, push_id: str, body: str) -> None:
        """The push did happen, as `body` says, whatever was thought of it before."""
        with self._database.transaction():
            self._database.write("UPDATE pushes SET state = 'confirmed', body = ? WHERE id = ?", (body, push_id))

    def close(self, push_id: str, state: str, body: str | None = None) -> bool:
        """Settle or drop a push that is still open, and say what became of it; False if it is not open."""
        with self._database.transaction():
            changed = self._database.write(
                "UPDATE pushes SET state = ?, body = coalesce(?, body) WHERE id = ? AND state IN ('pending', 'confirmed')",
                (state, body, push_id),
            )
        return changed == 1

    def forget_old(self) -> None:
        """Delete all but the last KEPT pushes that are over."""
        with self._database.transaction():
            self._database.write(
                "DELETE FROM pushes WHERE state IN ('settled', 'dropped') AND rowid <= (SELECT max(rowid) FROM pushes) - ?",
                (KEPT,),
            )
