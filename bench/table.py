"""Measures cases in turn, so that a noisy machine is noisy for all of them, and prints medians with ratios."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One case: median seconds, their ratio to the yardstick of the group (`None` for the yardstick), and what is promised.

    With a `unit` the median is no time but so many of these.
    """

    group: str
    case: str
    median: float
    ratio: float | None = None
    target: str = ""
    rounds: int = 0
    unit: str = ""


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
    cells = [("", "case", "median", "ratio", "target", "n")]
    cells += [
        (
            row.group,
            row.case,
            _amount(row),
            _ratio(row),
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


def _amount(row: Row) -> str:
    if not row.rounds:
        return "-"
    return f"{row.median:.1f} {row.unit}" if row.unit else f"{row.median * 1000:.1f} ms"


def _ratio(row: Row) -> str:
    if row.unit or not row.rounds:
        return ""
    if row.ratio is None:
        return "1"
    return f"{row.ratio:.2f}" if row.ratio >= 0.1 else f"{row.ratio:.4f}"
