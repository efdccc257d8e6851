"""Which kind of workspaces can be had here."""

import shutil
import tempfile
from pathlib import Path

from agent.errors import EnvironmentFault
from agent.model.value import Value
from agent.workspaces.base import Workspaces
from agent.workspaces.copy import CopyWorkspaces
from agent.workspaces.overlay import OverlayWorkspaces


class Choice(Value, frozen=True, kw_only=True):
    """`kind` is overlay or copy; `why` tells a person why it is not overlay."""

    kind: str
    why: str = ""


def probe(root: Path) -> Choice:
    """Try an overlay under this directory, which is made if need be."""
    root.mkdir(parents=True, exist_ok=True)
    trial = Path(tempfile.mkdtemp(prefix="probe-", dir=root.parent))
    overlay = OverlayWorkspaces(trial / "workspaces")
    try:
        lower = trial / "lower"
        lower.mkdir()
        (lower / "file").touch()
        seen = (overlay.create("trial", (lower,)) / "file").exists()
    except EnvironmentFault as fault:
        return Choice(kind="copy", why=fault.message)
    finally:
        overlay.remove("trial")
        shutil.rmtree(trial, ignore_errors=True)
    return Choice(kind="overlay") if seen else Choice(kind="copy", why="an overlay mounts here but stays empty")


def clear(root: Path) -> None:
    """Remove what a probe left that was killed; no other may be going on."""
    for trial in root.parent.glob("probe-*"):
        OverlayWorkspaces(trial / "workspaces").remove("trial")
        shutil.rmtree(trial, ignore_errors=True)


def choose(root: Path) -> Workspaces:
    """Overlay workspaces where they can be had, else copies. For the worker, of which there is one."""
    clear(root)
    return OverlayWorkspaces(root) if probe(root).kind == "overlay" else CopyWorkspaces(root)
