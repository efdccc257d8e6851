"""What rehearsals leave behind, and for how long: nothing of it is of value, but checkouts and caches make the next one fast."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.admin.cleaning import collect_garbage
from agent.config import Retention
from agent.errors import AgentError
from agent.worker.rehearsal import Rehearsal
from agent.workspaces.mounts import mounted
from agent.workspaces.trees import remove_tree

KEPT = timedelta(days=30)
OFTEN = timedelta(days=1)  # between two looks


def prune(rehearsal: Rehearsal, now: datetime) -> None:
    """Once a day: remove old executions and snapshots of this clone, and all of clones that were not rehearsed for long.

    Call it while the rehearsal is `alone`. What cannot be removed stays.
    """
    home, marker = rehearsal.repository, rehearsal.directories.root / "pruned"
    if not _is_old(marker, now, OFTEN):
        return
    marker.touch()
    for other in home.parent.glob("*.git"):
        if other != home and _is_old(other / "pipeline" / "config.toml", now, KEPT):  # every rehearsal writes it anew
            with suppress(OSError), _unused(other):
                remove_tree(other)
    with suppress(AgentError):
        list(collect_garbage(rehearsal.directories.root, Retention(artifacts=KEPT, executions=KEPT), now, dry_run=False))
    rehearsal.git.call("prune", f"--expire={KEPT.days}.days.ago")


def _is_old(file: Path, now: datetime, age: timedelta) -> bool:
    try:
        return now - datetime.fromtimestamp(file.stat().st_mtime, UTC) > age
    except FileNotFoundError:
        return True


@contextmanager
def _unused(home: Path) -> Iterator[None]:
    """Raises OSError if it is rehearsed there now, or something is still mounted."""
    if any(mounted(home)):
        raise OSError(f"{home} is mounted")
    with (home / "pipeline" / "worker.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
