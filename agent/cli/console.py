"""The terminal: when to colour, how tables stand, how a long text is paged."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from agent.errors import EnvironmentFault

_COLOURS = {
    "Succeeded": "32",
    "Failed": "31",
    "Abandoned": "31",
    "Waiting": "33",
    "In progress": "36",
    "Queued": "36",
    "Stopping": "33",
    "Stopped": "33",
}
DIM, BOLD = "2", "1"


def colours(environ: Mapping[str, str], stream: TextIO) -> bool:
    """Whether to colour: NO_COLOR says no, CLICOLOR_FORCE says yes, then color.pipeline or color.ui of git, then the terminal."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("CLICOLOR_FORCE", "0") != "0":
        return True
    if not stream.isatty():
        return False  # also where git says always: that is for its own commands, and a script would read escapes
    said = _asked(("config", "--get-colorbool", "color.pipeline", "true"), environ)
    return said != "false" and environ.get("TERM", "dumb") != "dumb"


class Paint:
    """Colours words, or leaves them as they are."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and code and text else text

    def status(self, text: str, word: str) -> str:
        """Colour a text as the status deserves."""
        return self(text, _COLOURS.get(word, ""))


def ago(span: timedelta) -> str:
    """just now, 3 minutes ago, 2 hours ago, 5 days ago."""
    seconds = max(0.0, span.total_seconds())  # clocks of two machines differ
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def since(moment: datetime, now: datetime) -> str:
    """How long ago a moment was."""
    return ago(now - moment)


def table(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[list[str]]:
    """The cells padded to columns, those in `right` at their right; the last column and empty ones are not padded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        [
            cell if index == last else cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            if width
        ]
        for row in rows
    ]


def width(environ: Mapping[str, str], stream: TextIO) -> int | None:
    """Columns to keep to; None if nobody looks at a screen."""
    import shutil  # it loads every way to compress

    return shutil.get_terminal_size().columns if stream.isatty() or environ.get("COLUMNS") else None


def cut(text: str, limit: int | None) -> str:
    """A plain line that fits."""
    return text if limit is None or len(text) <= limit else text[: max(0, limit - 1)] + "…"


def page(text: str, environ: Mapping[str, str]) -> None:
    """Write a text, through the pager that git would take if it is for a terminal."""
    show(text.encode(errors="replace"), pager(environ), environ)


def pager(environ: Mapping[str, str]) -> str:
    """GIT_PAGER, pager.pipeline, core.pager, PAGER, less, as git has it; empty where nobody looks at a screen."""
    if not sys.stdout.isatty():
        return ""
    own = _asked(("config", "--get", "pager.pipeline"), environ)
    if own.lower() in {"false", "no", "off", "0"}:
        return ""
    if own and own.lower() not in {"true", "yes", "on", "1"} and not environ.get("GIT_PAGER"):
        return own
    return _asked(("var", "GIT_PAGER"), environ)


def _asked(words: Sequence[str], environ: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(["git", *words], env=environ, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip()


def show(data: bytes, pager: str, environ: Mapping[str, str]) -> None:
    """Write bytes to the standard output, through a pager on a terminal. `pager` is a shell command; empty or cat: none."""
    if not sys.stdout.isatty() or pager in {"", "cat"}:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    settings = {"LESS": "FRX", "LV": "-c", **environ}  # as git does
    try:
        subprocess.run(["/bin/sh", "-c", pager], input=data, env=settings, check=False)
    except BrokenPipeError:
        pass  # the reader has seen enough
    except OSError as error:
        raise EnvironmentFault(f"cannot run the pager {pager}: {error.strerror}", hint="git config core.pager") from error
