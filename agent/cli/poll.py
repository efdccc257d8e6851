"""Looking at an execution again and again: gently, as in a clone every look is a fetch from a server that others use too."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import click

from agent.cli.remote import Clone, fetch
from agent.cli.source import Source
from agent.cli.status import opened
from agent.results.record import Record

LIVE, FETCHED = 0.3, 3.0  # seconds between two looks on the server, and in a clone
LONGEST = 30.0  # seconds; while nothing changes in a clone, the pause grows up to that
_GROWS = 1.5

interval = click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help=f"pause between two looks  [default: {LIVE} on the server; in a clone {FETCHED:.0f}, growing to {LONGEST:.0f} while"
    " nothing changes]",
)


class Poll:
    """One execution as it goes on. `pause` in seconds stays as it is; without it the pause grows where a look is a fetch."""

    def __init__(
        self, source: Source, record: Record, repo: str | None, pause: float | None, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.source = source
        self.record = record
        self._repo = repo
        self._sleep = sleep
        self._first = pause or (FETCHED if isinstance(source, Clone) else LIVE)
        self._longest = LONGEST if pause is None and isinstance(source, Clone) else self._first
        self._pause = self._first
        self._trouble = ""

    def again(self, *, logs: bool) -> Record:
        """Wait, and look: the record as it is then. What cannot be fetched is told once, and tried again."""
        self._sleep(self._pause)
        if isinstance(self.source, Clone):
            self._fetch(self.source, logs=logs)
        else:
            self.source = opened(self._repo, datetime.now(UTC), quick=False, logs=logs)
        record = self.source.identified(self.record.id) or self.record
        self._pause = self._first if record != self.record else min(self._pause * _GROWS, self._longest)
        self.record = record
        return record

    def _fetch(self, clone: Clone, *, logs: bool) -> None:
        trouble = fetch(clone.git, logs=logs, unseen=True)
        if trouble and trouble != self._trouble:
            click.echo(f"git pipeline: {trouble}", err=True)
        self._trouble = trouble
