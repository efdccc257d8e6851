"""Which executions succeeded in which stage: what a rollback goes back to, and what an older commit must not replace."""

from typing import NamedTuple

from agent.state.database import Database


class Pass(NamedTuple):
    """An execution that succeeded in a stage. A rollback counts as the execution whose commit it brought back."""

    execution: str
    commit: str
    at: str
    rollback: bool


class Passes:
    """The table of passes, newest last."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, pipeline: str, stage: str, passed: Pass) -> None:
        """Remember a success; the same execution again only moves it to the end."""
        with self._database.transaction():
            self._database.write(
                "DELETE FROM passes WHERE pipeline = ? AND stage = ? AND execution = ?", (pipeline, stage, passed.execution)
            )
            self._database.write(
                "INSERT INTO passes (pipeline, stage, execution, commit_id, at, rollback) VALUES (?, ?, ?, ?, ?, ?)",
                (pipeline, stage, passed.execution, passed.commit, passed.at, int(passed.rollback)),
            )

    def keep(self, pipeline: str, stage: str, passed: Pass) -> None:
        """Remember a success unless it is remembered already; where it stands does not change."""
        with self._database.transaction():
            self._database.write(
                "INSERT OR IGNORE INTO passes (pipeline, stage, execution, commit_id, at, rollback) VALUES (?, ?, ?, ?, ?, ?)",
                (pipeline, stage, passed.execution, passed.commit, passed.at, int(passed.rollback)),
            )

    def last(self, pipeline: str, stage: str, *, before: str = "", standard: bool = False) -> Pass | None:
        """The latest success, other than that of execution `before`; with `standard` rollbacks are left out."""
        row = self._database.row(
            "SELECT execution, commit_id, at, rollback FROM passes WHERE pipeline = ? AND stage = ? AND execution != ?"
            " AND rollback <= ? ORDER BY id DESC LIMIT 1",
            (pipeline, stage, before, 0 if standard else 1),
        )
        return Pass(row[0], row[1], row[2], bool(row[3])) if row else None
