"""What is wrong with a file, where, and what to do about it; and how that is shown to people, programs and GitHub."""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.model.span import Span

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
    one = _github if form == "github" else _text
    return "\n".join(one(diagnostic, sources) for diagnostic in diagnostics)


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


def _github(diagnostic: Diagnostic, sources: Mapping[str, str]) -> str:
    span, hint = diagnostic.span, diagnostic.hint
    where = f"file={_property(span.path)},line={max(span.line, 1)},col={max(span.column, 1)}"
    message = f"{diagnostic.code} {diagnostic.message}" + (f"\nhint: {hint}" if hint else "")
    return f"::error {where},title={diagnostic.code}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _text(diagnostic: Diagnostic, sources: Mapping[str, str]) -> str:
    span = diagnostic.span
    place = f"{span.path}:{span.line}:{span.column}" if span.line else span.path
    lines = [f"{printable(place)}: {diagnostic.code} {printable(diagnostic.message)}"]
    lines += _snippet(diagnostic, sources.get(span.path, ""))
    hint = [f"   hint: {diagnostic.hint}"] if diagnostic.hint else []
    return "\n".join(lines + [printable(line) for text in hint for line in text.split("\n")])


def _snippet(diagnostic: Diagnostic, source: str) -> list[str]:
    line, column = diagnostic.span.line, diagnostic.span.column
    written = source.split("\n")
    if not source or not 0 < line <= len(written):
        return []
    text = printable(written[line - 1].rstrip("\r"))
    start = max(0, column - 1 - _WIDEST // 2) if len(text) > _WIDEST else 0
    shown = text[start : start + _WIDEST]
    before = "".join("\t" if character == "\t" else " " for character in shown[: column - 1 - start])
    width = max(1, min(diagnostic.width, len(shown) - len(before)))
    return [f"{line:>5} | {shown}", f"      | {before}^{'~' * (width - 1)}"]


def printable(text: str) -> str:
    """The text without control characters (but tabs), each of which becomes a question mark."""
    return "".join(character if character.isprintable() or character == "\t" else "?" for character in text)
