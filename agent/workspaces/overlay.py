"""Workspaces as overlay mounts: no file is copied before it is written. Needs root, or the right to mount."""

from pathlib import Path

from agent.errors import EnvironmentFault
from agent.workspaces.mounts import mount_overlay, overlay_options, unmount
from agent.workspaces.trees import remove_tree

# A workspace never outlives a crash of the machine, so nothing of it need reach the disk; renaming a directory must just work.
EXTRAS = ("volatile,redirect_dir=on,metacopy=off", "redirect_dir=on", "")


class OverlayWorkspaces:
    """Each name has `<root>/<name>/{upper,work,merged}`; `merged` is the workspace, `upper` holds exactly what was changed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, name: str, lowers: tuple[Path, ...]) -> Path:
        """See Workspaces. Raises EnvironmentFault if the kernel refuses."""
        home = self._root / name
        merged = home / "merged"
        if home.exists():
            if merged.is_mount():
                return merged
            remove_tree(home / "work")  # of a mount that the machine lost; it would forbid the next one
        for part in ("upper", "work", "merged"):
            (home / part).mkdir(parents=True, exist_ok=True)
        (home / "upper").chmod(0o755)
        try:
            self._mount(home, lowers)
        except OSError as error:
            hint = "run the agent as root, or let it copy the checkout instead"
            missing = next((lower for lower in lowers if not lower.is_dir()), None)
            why = f"there is no directory {missing}" if missing else error
            raise EnvironmentFault(f"the workspace {merged} cannot be mounted: {why}", hint=hint) from error
        return merged

    def remove(self, name: str) -> None:
        """See Workspaces."""
        unmount(self._root / name / "merged")
        remove_tree(self._root / name)

    def names(self) -> tuple[str, ...]:
        """See Workspaces."""
        # What is mounted keeps its directory. The kernel's list of mounts is long on a busy machine, and this is asked often.
        return tuple(sorted(entry.name for entry in self._root.iterdir() if entry.is_dir())) if self._root.exists() else ()

    def _mount(self, home: Path, lowers: tuple[Path, ...]) -> None:
        for extra in EXTRAS:
            try:
                return mount_overlay(home / "merged", overlay_options(lowers, home / "upper", home / "work", extra))
            except OSError as error:
                if error.errno != 22 or extra == EXTRAS[-1]:  # EINVAL: an older kernel does not know an option
                    raise
        return None
