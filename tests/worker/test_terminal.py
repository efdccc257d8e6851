"""What others wrote, on a screen."""

import pytest

from agent.worker.terminal import WIDEST, sanitise


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain \u00fc \u65e5 \ttab", "plain \u00fc \u65e5 \ttab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("10%\r50%\r100%", "100%"),
        ("100%\r", "100%"),
        ("\x1b", ""),
        ("a\x00b\x07c\x9bd", "a\ufffdb\ufffdc\ufffdd"),
        ("\u202etxt.exe", "\ufffdtxt.exe"),
        ("x" * 5000, "x" * WIDEST + " \u2026"),
        ("", ""),
    ],
)
def test_nothing_steers_the_terminal(line, shown):
    assert sanitise(line) == shown
