"""The contract of workspaces: a private, writable view of a commit for every attempt, without copying it."""

from pathlib import Path
from typing import Protocol


class Workspaces(Protocol):
    """Makes and removes workspaces under one directory. Safe to call from several threads for different names."""

    def create(self, name: str, lowers: tuple[Path, ...]) -> Path:
        """A directory that shows `lowers` (left-most wins) and takes writes without touching them. Same name, same one."""

    def remove(self, name: str) -> None:
        """Unmount and delete. Safe twice, after a crash, and for unknown names."""

    def names(self) -> tuple[str, ...]:
        """Those that exist, mounted or half made; for recovery."""
