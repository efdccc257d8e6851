"""Closed transitions: a stage that no execution may enter until somebody opens it again. A row is a closed one."""

from typing import NamedTuple

from agent.state.database import Database


class Closed(NamedTuple):
    """Who closed the way into a stage, when (ISO 8601) and why."""

    pipeline: str
    stage: str
    reason: str
    by: str
    at: str


class Transitions:
    """The table of closed transitions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self, closed: Closed) -> None:
        """Close a transition; one that is closed already takes the new reason."""
        with self._database.transaction():
            self._database.write("INSERT OR REPLACE INTO transitions VALUES (?, ?, ?, ?, ?)", closed)

    def open(self, pipeline: str, stage: str) -> bool:
        """Open it again; False if it was open."""
        with self._database.transaction():
            return self._database.write("DELETE FROM transitions WHERE pipeline = ? AND stage = ?", (pipeline, stage)) == 1

    def closed(self, pipeline: str = "") -> tuple[Closed, ...]:
        """The closed ones of a pipeline, or of all."""
        rows = self._database.rows(
            "SELECT pipeline, stage, reason, by, at FROM transitions WHERE ? IN ('', pipeline) ORDER BY pipeline, stage",
            (pipeline,),
        )
        return tuple(Closed(*row) for row in rows)
