"""The terminal's rules."""

import io
import os
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


def configured(**settings: str) -> dict[str, str]:
    """An environment with settings of git."""
    pairs = [(f"GIT_CONFIG_KEY_{at}", key.replace("_", ".")) for at, key in enumerate(settings)]
    pairs += [(f"GIT_CONFIG_VALUE_{at}", value) for at, value in enumerate(settings.values())]
    count = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return {"PATH": os.environ["PATH"], "TERM": "xterm", **count, **dict(pairs)}


@pytest.mark.parametrize(
    ("settings", "coloured"),
    [
        ({}, True),
        ({"color_ui": "false"}, False),
        ({"color_ui": "never"}, False),
        ({"color_ui": "auto"}, True),
        ({"color_ui": "false", "color_pipeline": "true"}, True),
        ({"color_pipeline": "never"}, False),
    ],
)
def test_colours_as_git_is_told(settings: dict[str, str], coloured: bool) -> None:
    assert console.colours(configured(**settings), Screen()) is coloured


@pytest.mark.parametrize(
    ("settings", "environment", "pager"),
    [
        ({"core_pager": "ours"}, {}, "ours"),
        ({"core_pager": "ours"}, {"GIT_PAGER": "theirs"}, "theirs"),
        ({"core_pager": "ours", "pager_pipeline": "own"}, {}, "own"),
        ({"core_pager": "ours", "pager_pipeline": "true"}, {}, "ours"),
        ({"core_pager": "ours", "pager_pipeline": "false"}, {}, ""),
        ({"core_pager": "ours", "pager_pipeline": "own"}, {"GIT_PAGER": "theirs"}, "theirs"),
        ({}, {"PAGER": "mine"}, "mine"),
    ],
)
def test_the_pager_is_the_one_that_git_would_take(
    settings: dict[str, str], environment: dict[str, str], pager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", Screen())
    assert console.pager(configured(**settings) | environment) == pager
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert console.pager(configured(**settings) | environment) == ""


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
