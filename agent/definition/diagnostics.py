"""What is wrong with a file, where, and what to do about it; and how that is shown to people, programs and GitHub."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from agent.model.span import Span

MAX_SHOWN = 200  # diagnostics that a person is shown
_WIDEST = 160  # columns of a source line that are shown


class Diagnostic(NamedTuple):
    """One mistake. `width` is the number of characters to underline from the span on; codes stand in `codes.py`."""

    code: str
    span: Span
    message: str
    hint: str = ""
    width: int = 1


def ordered(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """By file, line and column, each once."""
    return tuple(sorted(set(diagnostics), key=lambda diagnostic: (diagnostic.span, diagnostic.code, diagnostic.message)))


def render(diagnostics: Iterable[Diagnostic], sources: Mapping[str, str], form: str = "text") -> str:
    """All diagnostics as `text` (with the source line, a caret and the hint), `json` or `github`; `sources` are texts by path.

    Control characters of a pushed file never reach the terminal of the reader.
    """
    if form == "json":
        return json.dumps([_document(diagnostic) for diagnostic in diagnostics], indent=2)
    if form == "github":
        return "\n".join(_github(diagnostic) for diagnostic in diagnostics)
    lines = {path: text.split("\n") for path, text in sources.items()}
    every = list(diagnostics)
    shown = [_text(diagnostic, lines.get(diagnostic.span.path, [])) for diagnostic in every[:MAX_SHOWN]]
    return "\n".join(shown + ([f"and {len(every) - MAX_SHOWN:,} more"] if len(every) > MAX_SHOWN else []))


def _document(diagnostic: Diagnostic) -> dict[str, object]:
    span = diagnostic.span
    return {
        "code": diagnostic.code,
        "file": span.path,
        "line": span.line,
        "column": span.column,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    }


def _github(diagnostic: Diagnostic) -> str:
    span, hint = diagnostic.span, diagnostic.hint
    where = f"file={_property(printable(span.path))},line={max(span.line, 1)},col={max(span.column, 1)}"
    lines = [f"{diagnostic.code} {diagnostic.message}", *([f"hint: {hint}"] if hint else [])]
    message = "\n".join(printable(line) for line in lines)
    return f"::error {where},title={diagnostic.code}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _text(diagnostic: Diagnostic, written: Sequence[str]) -> str:
    span = diagnostic.span
    place = f"{span.path}:{span.line}:{span.column}" if span.line else span.path
    lines = [f"{printable(place)}: {diagnostic.code} {printable(diagnostic.message)}"]
    lines += _snippet(diagnostic, written)
    hint = [f"   hint: {diagnostic.hint}"] if diagnostic.hint else []
    return "\n".join(lines + [printable(line) for text in hint for line in text.split("\n")])


def _snippet(diagnostic: Diagnostic, written: Sequence[str]) -> list[str]:
    line, column = diagnostic.span.line, diagnostic.span.column
    if not 0 < line <= len(written):
        return []
    text = written[line - 1]
    start = max(0, column - 1 - _WIDEST // 2) if len(text) > _WIDEST else 0
    shown = printable(text[start : start + _WIDEST].rstrip("\r"))
    before = "".join("\t" if character == "\t" else " " for character in shown[: column - 1 - start])
    width = max(1, min(diagnostic.width, len(shown) - len(before)))
    return [f"{line:>5} | {shown}", f"      | {before}^{'~' * (width - 1)}"]


def printable(text: str) -> str:
    """The text without control characters (but tabs), each of which becomes a question mark."""
    return "".join(character if character.isprintable() or character == "\t" else "?" for character in text)
