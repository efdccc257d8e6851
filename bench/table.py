"""Measures cases in turn, so that a noisy machine is noisy for all of them, and prints medians with ratios."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One case: median seconds, their ratio to the yardstick of the group (`None` for the yardstick), and what is promised."""

    group: str
    case: str
    median: float
    ratio: float | None = None
    target: str = ""
    rounds: int = 0


def interleave(cases: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each case, in turn A B C A B C; the order turns around every round. Warm-up rounds are not counted.

    A case that returns a float has measured itself, in seconds: what it does before and after does not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(-warm_up, rounds):
        for name in sorted(cases, key=list(cases).index, reverse=number % 2 == 1):
            began = time.perf_counter()
            told = cases[name]()
            if number >= 0:
                seconds[name].append(told if isinstance(told, float) else time.perf_counter() - began)
    return seconds


def compare(group: str, seconds: Mapping[str, Sequence[float]], yardstick: str, targets: Mapping[str, str]) -> list[Row]:
    """A row for each case, its median beside that of the yardstick."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        Row(
            group,
            name,
            median,
            None if name == yardstick else median / medians[yardstick],
            targets.get(name, ""),
            len(seconds[name]),
        )
        for name, median in medians.items()
    ]


def render(title: str, rows: Sequence[Row]) -> str:
    """The rows as an aligned table."""
    cells = [("", "case", "median ms", "ratio", "target", "n")]
    cells += [
        (
            row.group,
            row.case,
            f"{row.median * 1000:.1f}" if row.rounds else "-",
            "1" if row.ratio is None else f"{row.ratio:.{2 if row.ratio >= 0.1 else 4}f}",
            row.target,
            str(row.rounds or "-"),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    lines = [
        "  ".join(cell.rjust(width) if column in {2, 3, 5} else cell.ljust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in cells)
    ]
    return "\n".join([title, *(line.rstrip() for line in lines)])
