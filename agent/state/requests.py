"""What people ask of the worker: operators' commands and accepted signed tags, until the worker has answered them."""

from typing import NamedTuple

from agent.state.database import Database


class Request(NamedTuple):
    """`kind` is the verb (approve, stop, retry, …), `body` JSON, `state` open, done or refused, `answer` words for people.

    `state` is proposed while the tag that asks has been judged, but its ref has not moved yet.
    """

    id: int
    at: str
    kind: str
    body: str
    state: str
    answer: str


class Requests:
    """The table of requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, at: str, kind: str, body: str, *, once: str = "") -> int:
        """Ask for something; returns its id. The same `once` again (such as a tag's object id) returns the former one."""
        with self._database.transaction():
            former = self._database.row("SELECT id FROM requests WHERE once = ?", (once,)) if once else None
            if former:
                return int(former[0])
            values = (at, kind, body, once or None)
            self._database.write("INSERT INTO requests (at, kind, body, once) VALUES (?, ?, ?, ?)", values)
            return int(self._database.rows("SELECT last_insert_rowid()")[0][0])

    def propose(self, at: str, kind: str, body: str, once: str) -> None:
        """Keep what will be asked once `confirm` says so; a new proposal of the same name takes the place of the former."""
        with self._database.transaction():
            self._database.write("DELETE FROM requests WHERE once = ? AND state = 'proposed'", (once,))
            sql = "INSERT INTO requests (at, kind, body, once, state) VALUES (?, ?, ?, ?, 'proposed')"
            self._database.write(sql, (at, kind, body, once))

    def confirm(self, once: str) -> Request | None:
        """Ask what was proposed, exactly once; returns it as it stands now, None if nothing was proposed under this name."""
        with self._database.transaction():
            self._database.write("UPDATE requests SET state = 'open' WHERE once = ? AND state = 'proposed'", (once,))
            return self.of(once)

    def of(self, once: str) -> Request | None:
        """The one of this name, in whatever state."""
        found = self._rows("WHERE once = ?", once)
        return found[0] if found else None

    def open(self) -> tuple[Request, ...]:
        """Those without an answer, oldest first."""
        return self._rows("WHERE state = 'open' ORDER BY id")

    def get(self, request: int) -> Request | None:
        found = self._rows("WHERE id = ?", request)
        return found[0] if found else None

    def settle(self, request: int, state: str, answer: str = "") -> None:
        """Answer: `state` is done or refused."""
        with self._database.transaction():
            self._database.write("UPDATE requests SET state = ?, answer = ? WHERE id = ?", (state, answer, request))

    def _rows(self, rest: str, *values: object) -> tuple[Request, ...]:
        rows = self._database.rows(f"SELECT id, at, kind, body, state, answer FROM requests {rest}", values)
        return tuple(Request(*row) for row in rows)
