"""The difference between two releases: what has to travel, and what has to go."""

from collections.abc import Mapping
from typing import NamedTuple


class File(NamedTuple):
    """A file by its content: `mode` as git has it (100644, 100755, 120000), `content` any name of the content."""

    mode: str
    content: str


Files = Mapping[str, File]


class Delta(NamedTuple):
    """Paths that travel, in order, and paths to remove first: gone ones, and those whose kind or place changes."""

    sent: tuple[str, ...]
    gone: tuple[str, ...]


def between(old: Files, new: Files) -> Delta:
    """Removing what changes too keeps a tar from writing into a file, or through a link, that an older release shares."""
    sent = tuple(sorted(path for path, file in new.items() if old.get(path) != file))
    gone = tuple(sorted(path for path, file in old.items() if new.get(path) != file))
    return Delta(sent, gone)
