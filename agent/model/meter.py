"""How long work tells how far it is: whoever can show it to somebody hands in a meter (cli/progress.py)."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

Thing = TypeVar("Thing")


class Meter(Protocol):
    """Passes things on as they are asked for, and counts them."""

    def __call__(self, words: str, things: Iterable[Thing], total: int = 0, /) -> Iterable[Thing]:
        """`words` say what is done with them (Verifying executions); `total` is how many come, 0 if nobody knows yet."""


def unseen(words: str, things: Iterable[Thing], total: int = 0, /) -> Iterable[Thing]:
    """The meter where nobody looks."""
    return things
