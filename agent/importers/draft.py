"""A pipeline file that is being written from somebody else's: what it says, remarks beside it, and its text. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from agent.model.ids import NAME

_PLAIN = re.compile(r"[A-Za-z./~$][A-Za-z0-9_./@~$+=-]*(?: [A-Za-z0-9_./@~+=-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


class Remark(NamedTuple):
    """A comment; of what could not be converted it begins with TODO."""

    text: str


Value: TypeAlias = "str | int | bool | Sequence[Value] | Mapping[str, Value] | Fields"
Field: TypeAlias = "tuple[str, Value] | Remark"


class Fields(list["tuple[str, Value] | Remark"]):
    """A mapping in its order, with remarks between its keys."""

    def put(self, key: str, value: "Value | None") -> None:
        """Add a key that has something to say."""
        if value not in (None, "", [], {}, ()):
            self.append((key, value))

    def remark(self, text: str) -> None:
        """Add a comment above what comes next."""
        self.append(Remark(text))


class Draft(NamedTuple):
    """One pipeline: its name (the stem of its file) and what is in it."""

    name: str
    fields: Fields

    @property
    def text(self) -> str:
        """The file."""
        return "\n".join(_fields(self.fields, "")) + "\n"

    @property
    def open_ends(self) -> int:
        """How much is left to a person."""
        return self.text.count("# TODO")


def name(words: str, taken: Iterable[str] = ()) -> str:
    """A name as pipeline files have them, of any words; another one where it is taken."""
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-._")[:90] or "unnamed"
    made = made if NAME.fullmatch(made) else f"x{made}"
    used = set(taken)
    number = 2
    found = made
    while found in used:
        found, number = f"{made}-{number}", number + 1
    return found


def _fields(fields: Iterable[Field], indent: str) -> Iterator[str]:
    for field in fields:
        if isinstance(field, Remark):
            yield from (f"{indent}# {line}".rstrip() for line in field.text.splitlines())
        else:
            yield from _entry(field[0], field[1], indent)


def _entry(key: str, value: Value, indent: str) -> Iterator[str]:
    word = _scalar(key)
    if isinstance(value, str) and "\n" in value.strip("\n"):
        yield f"{indent}{word}: |"
        yield from (f"{indent}  {line}".rstrip() for line in value.strip("\n").splitlines())
    elif isinstance(value, Fields):
        yield f"{indent}{word}:"
        yield from _fields(value, f"{indent}  ")
    elif isinstance(value, list | tuple) and any(isinstance(item, Fields) for item in value):
        yield f"{indent}{word}:"
        yield from _items(value, f"{indent}  ")
    else:
        yield f"{indent}{word}: {_flow(value)}"


def _items(items: Sequence[Value], indent: str) -> Iterator[str]:
    for item in items:
        assert isinstance(item, Fields)
        before = [field for field in item if isinstance(field, Remark)]
        yield from _fields(before, indent)
        lines = list(_fields((field for field in item if not isinstance(field, Remark)), f"{indent}  "))
        yield f"{indent}- {lines[0].strip()}"
        yield from lines[1:]


def _flow(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _scalar(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Fields):
        return _flow({field[0]: field[1] for field in value if not isinstance(field, Remark)})
    return "[" + ", ".join(map(_flow, value)) + "]"


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)
