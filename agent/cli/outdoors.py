"""What the verbs share that bring something from outside: the repository and its configuration."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from agent.admin.outside import Outside
from agent.cli import asking
from agent.config import Config
from agent.state.database import open_database
from agent.worker.configured import load_config
from agent.worker.places import Directories
from agent.worker.sources import secrets_of
from agent.worker.spawn import wake_or_start


@contextmanager
def opened(repo: str | None) -> Iterator[tuple[Outside, Config]]:
    """The ears of a repository, and its configuration as it is now. Raises AgentError."""
    from agent.worker.wiring import clock, new_id  # everything that a worker is made of

    place = asking.home(repo)
    asking.refuse_unless_owner(place)
    repository = place.parent
    config = load_config(Directories(repository))
    database = open_database(str(place / "state.db"))
    try:
        secrets = secrets_of(place, config, os.environ)
        wake = partial(wake_or_start, str(place), str(repository), sys.executable, os.environ)
        yield Outside(repository, database, config, secrets, os.environ, clock, new_id, wake), config
    finally:
        database.close()
