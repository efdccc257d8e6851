"""When each schedule last fired, so that it fires once however many workers, restarts or changes of the clock there are."""

from agent.state.database import Database


class Schedules:
    """The table of schedules, by pipeline, branch and cron expression. Times are ISO 8601 in UTC, all of one form."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, pipeline: str, branch: str, cron: str) -> str:
        """When it last fired; empty if never."""
        row = self._database.row(
            "SELECT fired_at FROM schedules WHERE pipeline = ? AND branch = ? AND cron = ?", (pipeline, branch, cron)
        )
        return str(row[0]) if row else ""

    def fire(self, pipeline: str, branch: str, cron: str, at: str) -> bool:
        """Take the time `at` for this schedule; False if it, or a later one, was taken before."""
        with self._database.transaction():
            if self.last(pipeline, branch, cron) >= at:
                return False
            self._database.write("INSERT OR REPLACE INTO schedules VALUES (?, ?, ?, ?)", (pipeline, branch, cron, at))
        return True
