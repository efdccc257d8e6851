"""What the agent has seen of the repository: where each ref stood after the last push it took in, and a few notes to itself."""

from collections.abc import Iterable

from agent.model.ids import is_zero
from agent.state.database import Database


class Marks:
    """The tables of refs and marks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> str:
        """A mark; empty if it was never set."""
        row = self._database.row("SELECT value FROM marks WHERE name = ?", (name,))
        return str(row[0]) if row else ""

    def put(self, name: str, value: str) -> None:
        with self._database.transaction():
            self._database.write("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, value))

    def refs(self) -> dict[str, str]:
        """Object id by full ref name, as last seen."""
        return dict(self._database.rows("SELECT ref, oid FROM refs"))

    def saw(self, refs: Iterable[tuple[str, str]]) -> None:
        """Take over where refs stand now: (name, object id), an id of zeros for one that is gone."""
        seen = tuple(refs)
        with self._database.transaction():
            self._database.write_many("DELETE FROM refs WHERE ref = ?", [(ref,) for ref, _ in seen])
            kept = [(ref, oid) for ref, oid in seen if not is_zero(oid)]
            self._database.write_many("INSERT INTO refs VALUES (?, ?)", kept)
