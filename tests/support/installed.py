"""A repository with the agent installed, and somebody who listens as its worker would, so that no worker is started."""

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from agent.admin import registry
from agent.admin.install import install
from agent.git.command import clean_environment
from agent.state.database import open_database
from agent.state.queue import Queue
from agent.worker import keys, wake
from agent.worker.intake import Intake
from tests.support.repo import Repo, kept

GOOD = """\
stages:
  - name: build
    actions:
      - name: unit
        image: some/image
        run: echo hello
"""
BAD = GOOD.replace("image:", "imag:")


class Installed(Repo):
    """As Repo; `wake` is the descriptor of the FIFO."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.registry = root / "repositories"
        self.directory = self.bare / "pipeline"
        registry.add(self.registry, self.bare.resolve())
        keys.make(self.directory)
        self.wake = wake.listen(str(self.directory))

    def pattern(self, object_format: str) -> Path:
        """See Repo."""
        return installed()

    def install(self, python: Path = Path(sys.executable)) -> tuple[str, ...]:
        return install(self.bare, python, clean_environment(self.environment), os.getuid(), self.registry)

    @property
    def executions(self):
        """What is recorded, oldest first."""
        database = open_database(str(self.directory / "state.db"))
        try:
            return Queue(database).history(limit=10_000)[::-1]
        finally:
            database.close()

    @property
    def labels(self) -> list[str]:
        return [f"{row.pipeline} #{row.number}" for row in self.executions]

    @contextmanager
    def intake(self, now: datetime | None = None):
        """The intake as the worker has it, at a time of one's choice."""
        database = open_database(str(self.directory / "state.db"))
        try:
            yield Intake(self.server, database, lambda: now or datetime.now(UTC))
        finally:
            database.close()

    def detached(self, *refspecs: str, options: tuple[str, ...] = (), **more) -> str:
        """Push without following; returns what the pusher read."""
        return self.push(*refspecs, options=("pipeline.detach", *options), **more)

    def close(self) -> None:
        os.close(self.wake)


@cache
def installed() -> Path:
    """A repository as `install` leaves it, without what is its own: its key, its bell, its line in the registry."""
    made = Repo(kept() / "installed")
    environment = clean_environment(made.environment)
    install(made.bare, Path(sys.executable), environment, os.getuid(), made.root / "repositories")
    for name in ("key", "key.pub", wake.NAME):
        (made.bare / "pipeline" / name).unlink()
    return made.bare
