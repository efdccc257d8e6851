"""References in texts: `${{ namespace.key }}`, looked up and never computed.

A namespace may contain dots (it is an action's name by default), a key never does: the last dot divides them.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

OPENING = "${{"
EXECUTION_KEYS = ("id", "number", "attempt", "trigger", "url")
SOURCE_KEYS = ("commit", "branch", "tag", "author", "email", "message", "previous")
RESERVED = ("variables", "execution", "source", "matrix", "parameters", "secrets", "env")

_ANY = re.compile(r"\$\{\{(.*?)(\}\}|$)", re.DOTALL)
_INSIDE = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,99})\.([A-Za-z0-9@_-]{1,128})\s*", re.ASCII)
_CODEPIPELINE = re.compile(r"#\{([A-Za-z0-9@_-]+)\.([A-Za-z0-9@_-]+)\}")


class Reference(NamedTuple):
    """One `${{ namespace.key }}`; `start` and `end` are its place in the text."""

    namespace: str
    key: str
    start: int
    end: int


class Fragment(NamedTuple):
    """A piece of a text that looks like a reference and is none."""

    text: str
    start: int
    end: int


def references(text: str) -> tuple[Reference, ...]:
    """All well-formed references of a text, in order."""
    if OPENING not in text:
        return ()
    return tuple(piece for piece in _pieces(text) if isinstance(piece, Reference))


def malformed(text: str) -> tuple[Fragment, ...]:
    """All `${{` of a text that are not `${{ namespace.key }}`."""
    if OPENING not in text:
        return ()
    return tuple(piece for piece in _pieces(text) if isinstance(piece, Fragment))


def foreign(text: str) -> tuple[Fragment, ...]:
    """All `#{namespace.key}` of CodePipeline in a text."""
    if "#{" not in text:
        return ()
    return tuple(Fragment(match[0], match.start(), match.end()) for match in _CODEPIPELINE.finditer(text))


def replace(text: str, value: Callable[[Reference], str | None]) -> str:
    """The text with each reference replaced by its value; None leaves it. Values are not looked at again."""
    parts, position = [], 0
    for reference in references(text):
        found = value(reference)
        if found is not None:
            parts += [text[position : reference.start], found]
            position = reference.end
    return "".join([*parts, text[position:]])


def _pieces(text: str) -> Iterator[Reference | Fragment]:
    for match in _ANY.finditer(text):
        inside = _INSIDE.fullmatch(match[1]) if match[2] == "}}" else None
        if inside:
            yield Reference(inside[1], inside[2], match.start(), match.end())
        else:
            yield Fragment(match[0][:60], match.start(), match.end())
