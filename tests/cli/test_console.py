"""The terminal's rules."""

import io
from datetime import timedelta

import pytest

from agent.cli import console


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "terminal", "coloured"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"CLICOLOR_FORCE": "0"}, False, False),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_when_to_colour(environ: dict[str, str], terminal: bool, coloured: bool) -> None:
    assert console.colours(environ, Screen() if terminal else io.StringIO()) is coloured


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "just now"), (59, "just now"), (60, "1 minute ago"), (7300, "2 hours ago"), (86400 * 5, "5 days ago")],
)
def test_how_long_ago(seconds: float, text: str) -> None:
    assert console.ago(timedelta(seconds=seconds)) == text


def test_columns_stand_under_each_other_and_empty_ones_fall_away() -> None:
    rows = console.table([["a", "", "1s", "x"], ["bcd", "", "10s", ""]], frozenset({2}))
    assert ["|".join(row) for row in rows] == ["a  | 1s|x", "bcd|10s|"]


@pytest.mark.parametrize(("limit", "text"), [(None, "abcdef"), (6, "abcdef"), (5, "abcd…"), (1, "…")])
def test_a_line_that_fits(limit: int | None, text: str) -> None:
    assert console.cut("abcdef", limit) == text
