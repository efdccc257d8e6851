"""The YAML reader's complaints, in the terms of the person who wrote the file."""

from agent.definition.diagnostics import Diagnostic
from agent.model.span import Span

_QUOTE = "a text with ': ' or ' #' in it, or that begins with one of * & ! % @ ` { [, is written in quotes"
_INDENT = "look at the indentation of this line and the one before: keys of one mapping, items of one list, begin in one column"
_OPEN = "a bracket, brace or quote that was opened is not closed"

_HINTS = (
    ("mapping values are not allowed", _QUOTE),
    ("did not find expected key", _INDENT),
    ("did not find expected '-' indicator", _INDENT),
    ("block sequence entries are not allowed", _INDENT),
    ("block mapping", _INDENT),
    ("could not find expected ':'", "a key is followed by a colon and a space"),
    ("expected alphabetic or numeric character", "a glob that begins with * is written in quotes"),
    ("cannot start any token", _QUOTE),
    ("did not find expected ','", _OPEN),
    ("unexpected end of stream", _OPEN),
    ("found unknown escape character", "in double quotes \\ is written \\\\; single quotes take it as it is"),
    ("tag", "a text that begins with ! is written in quotes"),
)


def explain(error: Exception, path: str, text: str) -> Diagnostic:
    """The diagnostic for an exception of the YAML reader."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return _unreadable(path, text)
    span = Span(path, mark.line + 1, mark.column + 1)
    lines = text.split("\n")
    if not "".join(lines[mark.line :]).strip():
        return _too_early(path, text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: mark.column + 1] and not line[: line.index("\t")].strip(" -"):
        hint = "indent with spaces"
        return Diagnostic("GP008", span._replace(column=line.index("\t") + 1), "a tab cannot indent YAML", hint)
    what, during = getattr(error, "problem", None), getattr(error, "context", None)
    problem = str(what or during or "not YAML")
    context = f" {during}" if during and during != problem else ""
    hint = next((hint for part, hint in _HINTS if part in problem or part in context), "")
    if "${{" in line and "flow" in context:
        hint = 'between { } and [ ] a ${{ }} is written in quotes: "${{ … }}"'
    return Diagnostic("GP007", span, f"not YAML: {problem}{context}", hint)


def _too_early(path: str, text: str) -> Diagnostic:
    """The place is behind the last line, where nobody would look."""
    written = text.rstrip().split("\n")
    return Diagnostic("GP007", Span(path, len(written), max(len(written[-1]), 1)), "not YAML: the file ends too early", _OPEN)


def _unreadable(path: str, text: str) -> Diagnostic:
    """A character that YAML does not allow at all."""
    bad = next((index for index, character in enumerate(text) if not _allowed(character)), 0)
    line = text.count("\n", 0, bad) + 1
    column = bad - text.rfind("\n", 0, bad)
    code = f"U+{ord(text[bad]):04X}" if text else "nothing"
    return Diagnostic("GP007", Span(path, line, column), f"character {code} is not allowed in YAML", "remove it")


def _allowed(character: str) -> bool:
    code = ord(character)
    return (
        character in "\t\n\r\x85" or 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
    )
