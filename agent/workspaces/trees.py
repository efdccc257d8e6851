"""Removing directory trees that a job left, whatever permissions it gave them."""

import shutil
from contextlib import suppress
from pathlib import Path


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is in it; links are not followed. Silent if it is gone. Raises OSError if it resists."""
    if not path.exists():
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        _open_up(path)
        shutil.rmtree(path)


def _open_up(path: Path) -> None:
    """Give ourselves the right to empty every directory; top down, as a closed one hides those below."""
    with suppress(PermissionError):
        path.chmod(0o700)
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            _open_up(entry)
