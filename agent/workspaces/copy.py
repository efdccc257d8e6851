"""Workspaces as copies, where no overlay can be mounted; a file system with reflinks shares the blocks."""

import subprocess
from pathlib import Path

from agent.errors import EnvironmentFault
from agent.workspaces.trees import remove_tree


class CopyWorkspaces:
    """Each name has `<root>/<name>/merged`, which appears whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, name: str, lowers: tuple[Path, ...]) -> Path:
        """See Workspaces. Raises EnvironmentFault, such as for a full disk."""
        merged = self._root / name / "merged"
        if merged.exists():
            return merged
        growing = merged.with_name("growing")
        remove_tree(growing)
        growing.mkdir(parents=True)
        for lower in reversed(lowers):
            self._copy(lower, growing)
        growing.chmod(0o755)
        return growing.rename(merged)

    def remove(self, name: str) -> None:
        """See Workspaces."""
        remove_tree(self._root / name)

    def names(self) -> tuple[str, ...]:
        """See Workspaces."""
        return tuple(sorted(entry.name for entry in self._root.iterdir())) if self._root.exists() else ()

    def _copy(self, lower: Path, into: Path) -> None:
        command = ["cp", "-a", "--reflink=auto", "--remove-destination", "--", f"{lower}/.", str(into)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EnvironmentFault(f"{lower} cannot be copied: {done.stderr.strip()}", hint="look at the free disk space (`df`)")
