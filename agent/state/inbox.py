"""What others told us, by the id of their message: each is acted on once, and one that was cut short is found again."""

from typing import NamedTuple

from agent.state.database import Database

KEPT = 10_000  # messages that are done; older ones are forgotten


class Told(NamedTuple):
    """A message of a remote; `body` is JSON."""

    remote: str
    id: str
    at: str
    body: str


class Inbox:
    """The table of messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, told: Told) -> bool:
        """Keep a message until it is `done`; False if it was done before. Taking one that is still open is harmless."""
        with self._database.transaction():
            self._database.write("INSERT OR IGNORE INTO inbox (remote, id, at, body) VALUES (?, ?, ?, ?)", told)
            sql = "SELECT 1 FROM inbox WHERE remote = ? AND id = ? AND state = 'open'"
            return self._database.row(sql, (told.remote, told.id)) is not None

    def open(self) -> tuple[Told, ...]:
        """Those that nobody has finished, oldest first."""
        rows = self._database.rows("SELECT remote, id, at, body FROM inbox WHERE state = 'open' ORDER BY rowid")
        return tuple(Told(*row) for row in rows)

    def done(self, told: Told) -> None:
        """It was acted on."""
        with self._database.transaction():
            self._database.write("UPDATE inbox SET state = 'done', body = '' WHERE remote = ? AND id = ?", (told.remote, told.id))
            sql = "DELETE FROM inbox WHERE state = 'done' AND rowid <= (SELECT max(rowid) FROM inbox) - ?"
            self._database.write(sql, (KEPT,))
