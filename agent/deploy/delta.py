"""The difference between two releases: what has to travel, and what has to go."""

from typing import NamedTuple


class Delta(NamedTuple):
    """Paths that travel, and paths to remove first: gone ones, and those that change.

    Removing what changes too keeps a tar from writing into a file, or through a link, that an older release shares.
    """

    sent: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def empties(self) -> bool:
        """Whether a directory may have nothing in it any more."""
        return not set(self.gone) <= set(self.sent)
