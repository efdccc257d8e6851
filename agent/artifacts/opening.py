"""Opens the store that the operator has chosen."""

from pathlib import Path
from typing import NamedTuple

from agent import plugins
from agent.artifacts.base import ArtifactStore
from agent.aws.session import Sessions
from agent.settings import Artifacts


class Opening(NamedTuple):
    """What a store is opened with. A plug-in is a class whose `open` makes an ArtifactStore of one."""

    root: Path  # a directory on this machine, for the store alone
    settings: Artifacts
    sessions: Sessions


def open_store(opening: Opening) -> ArtifactStore:
    """The store that the settings name. Raises RefusedError if nobody brings it. Asks nobody anything yet."""
    store: ArtifactStore = plugins.load("artifacts", opening.settings.store).open(opening)
    return store
