"""The contract of artifact stores. An artifact is a deterministic tar archive, known by the sha256 of its bytes."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from agent.errors import AgentError
from agent.model.outcome import ArtifactRecord


class ArtifactError(AgentError):
    """A declared artifact is missing, or an archive or a file that should go into one is unsafe; the message names it."""


class Stored(NamedTuple):
    """An archive as it lies in a store. `at` is when it was last put (UTC)."""

    digest: str
    size: int
    at: datetime


class ArtifactStore(Protocol):
    """Keeps archives by digest. Called from several threads and processes; an archive appears whole or not at all."""

    def put(self, archive: Path, digest: str) -> None:
        """Take over a finished archive file (it is moved or copied, fsynced first). Storing it twice is harmless."""

    def fetch(self, digest: str) -> Path:
        """A local file with the archive, digest checked, once as long as nobody writes to the file.

        Raises EnvironmentFault if it is missing or damaged.
        """

    def has(self, digest: str) -> bool: ...

    def remove(self, digest: str, *, before: datetime | None = None) -> bool:
        """Remove an archive; with `before` only if it was not put again since. False if nothing was removed."""

    def stored(self) -> tuple[Stored, ...]:
        """All archives, ordered by digest."""

    def sweep(self, before: datetime) -> tuple[str, ...]:
        """Remove what puts and fetches left behind that were never finished, if older than that; what went, in words."""


class Place(NamedTuple):
    """An archive as other services of AWS find it."""

    bucket: str
    key: str
    region: str


@runtime_checkable
class RegionalStore(Protocol):
    """An ArtifactStore whose archives other services of AWS can read by themselves."""

    def place(self, digest: str, region: str = "") -> Place:
        """Where an archive lies in a region, brought there if need be; by default in the store's own.

        Raises RefusedError if the operator named no bucket there, EnvironmentFault if the archive is not in the store.
        """


class Collected(NamedTuple):
    """What `pack.collect` made: the record, and the archive file that goes into a store."""

    record: ArtifactRecord
    archive: Path
