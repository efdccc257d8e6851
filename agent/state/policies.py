"""The operator's configurations that executions run under, by digest: each keeps its own, whatever the file says later."""

from agent.state.database import Database


class Policies:
    """The table of policies; which one an execution has stands in its row (`Queue.set_plan`)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.alone = database.alone

    def keep(self, digest: str, body: str) -> None:
        """Store a configuration. Again: it is the last one from now on."""
        with self._database.transaction():
            self._database.write("INSERT OR REPLACE INTO policies (digest, body) VALUES (?, ?)", (digest, body))

    def of(self, execution: str) -> tuple[str, str]:
        """Digest and body of what an execution runs under; empty if it has none yet."""
        return self._one("WHERE digest = (SELECT policy FROM executions WHERE id = ?)", execution)

    def last(self) -> tuple[str, str]:
        """Digest and body of the one that was stored last; empty if none ever was."""
        return self._one("ORDER BY rowid DESC LIMIT 1")

    def set(self, execution: str, digest: str) -> None:
        """From now on an execution runs under this one, which is stored."""
        with self._database.transaction():
            self._database.write("UPDATE executions SET policy = ? WHERE id = ?", (digest, execution))

    def forget(self) -> None:
        """Remove all but the last that no execution has."""
        last, _ = self.last()
        with self._database.transaction():
            self._database.write(
                "DELETE FROM policies WHERE digest <> ? AND digest NOT IN (SELECT policy FROM executions)", (last,)
            )

    def _one(self, rest: str, *values: object) -> tuple[str, str]:
        row = self._database.row(f"SELECT digest, body FROM policies {rest}", values)
        return (row[0], row[1]) if row else ("", "")
