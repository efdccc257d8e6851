"""The contract of artifact stores. An artifact is a deterministic tar archive, known by the sha256 of its bytes."""

from pathlib import Path
from typing import Protocol

from agent.model.outcome import ArtifactRecord


class ArtifactStore(Protocol):
    """Keeps archives by digest. Called from several threads and processes; an archive appears whole or not at all."""

    def put(self, archive: Path, digest: str) -> None:
        """Take over a finished archive file (it is moved or copied, fsynced first). Storing it twice is harmless."""

    def fetch(self, digest: str) -> Path:
        """A local file with the archive, digest checked. Raises EnvironmentFault if it is missing or damaged."""

    def has(self, digest: str) -> bool: ...

    def remove(self, digest: str) -> None: ...

    def digests(self) -> tuple[str, ...]: ...


class Collected(Protocol):
    """What `pack.collect` returns beside the record."""

    record: ArtifactRecord
    archive: Path
