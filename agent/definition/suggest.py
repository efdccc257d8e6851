"""What somebody may have meant who wrote a name that does not exist."""

from collections.abc import Iterable
from itertools import islice

_LOOKED_AT = 300  # known words; more of them are a machine's work, and comparing is slow


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like this one, or empty."""
    from difflib import get_close_matches  # only a broken file needs it

    by_folded = {name.lower(): name for name in islice(known, _LOOKED_AT)}
    near = get_close_matches(word.lower()[:100], by_folded, 1, 0.6)
    return by_folded[near[0]] if near else ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "there are") -> str:
    """A hint: the nearest known word, else a list of all."""
    names = list(dict.fromkeys(known))
    if near := nearest(word, names):
        return f"did you mean '{near}'?"
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"{otherwise}: {listed}" if names else ""
