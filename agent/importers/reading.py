"""Somebody else's file as plain values: texts, lists and mappings, asked for without fear of what stands there. Pure."""

from collections.abc import Mapping
from typing import Any

from agent.definition.nodes import BrokenFileError, decode, plain, read
from agent.errors import UsageError

Map = Mapping[str, Any]


def document(path: str, data: bytes) -> Map:
    """The mapping that a YAML or JSON file is. Raises UsageError if it is none."""
    try:
        found = plain(read(path, decode(path, data))[0])
    except BrokenFileError as error:
        diagnostic = error.diagnostic
        raise UsageError(f"{diagnostic.span.path}:{diagnostic.span.line}: {diagnostic.message}", hint=diagnostic.hint) from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no mapping", hint="is it the right file?")
    return found


def table(value: object) -> Map:
    """A mapping, or an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """A list; one thing alone is a list of it, nothing an empty one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def texts(value: object) -> list[str]:
    """The texts of a list, or the one that stands alone; nested lists are opened."""
    return [
        text for item in items(value) for text in (texts(item) if isinstance(item, list) else [str(item)]) if item is not None
    ]


def text(value: object) -> str:
    """A text, or an empty one in the place of what is none."""
    return value if isinstance(value, str) else ""


def environment(value: object) -> dict[str, str]:
    """Variables by name, as a mapping or a list of NAME=value has them."""
    if isinstance(value, list):
        parted = (str(one).partition("=") for one in value)
        return {name: found for name, sign, found in parted if sign}
    return {str(key): str(found) for key, found in table(value).items() if isinstance(found, str)}
