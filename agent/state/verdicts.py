"""What was found out about a `.pipeline/` tree, kept under its tree id: a tree that was judged once is never read again."""

from typing import NamedTuple

from agent.state.database import Database

KEPT = 5000  # verdicts; the oldest are forgotten first


class Verdict(NamedTuple):
    """`ok`: `body` is JSON of the entries; else `body` is the text that the pusher reads.

    `outside` are the paths of files beyond the tree that it was judged with.
    """

    ok: bool
    body: str
    outside: tuple[str, ...] = ()


class Verdicts:
    """The table of verdicts. `key` names the tree and the version of the agent that judged it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> Verdict | None:
        row = self._database.row("SELECT ok, body, outside FROM verdicts WHERE key = ?", (key,))
        return Verdict(bool(row[0]), row[1], tuple(row[2].splitlines())) if row else None

    def put(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict; the same key again replaces it."""
        with self._database.transaction():
            values = (key, int(verdict.ok), verdict.body, "\n".join(verdict.outside))
            self._database.write("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", values)
            self._database.write("DELETE FROM verdicts WHERE rowid <= (SELECT max(rowid) FROM verdicts) - ?", (KEPT,))
