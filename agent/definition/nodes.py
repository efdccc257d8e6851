"""YAML to nodes with positions, guarded: the only place that knows the yaml package.

The reader works on parser events, so nothing is composed, resolved or expanded before the guards have seen it: the C composer
crashes on deep nesting and aliases grow exponentially. Scalars keep the text that was written (see `values.py`).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import yaml

from agent.definition.diagnostics import Diagnostic
from agent.definition.yamlproblems import explain
from agent.model.span import Span

MAX_BYTES = 1024**2  # of one file
MAX_DEPTH = 40
MAX_NODES = 100_000

_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


class Scalar(NamedTuple):
    """A text, or nothing (`plain` and empty, ~ or null). `width` is what it takes on its first line, `last` its last line."""

    text: str
    plain: bool
    span: Span
    width: int = 1
    last: int = 0

    @property
    def is_nothing(self) -> bool:
        return self.plain and self.text in _NOTHING


class Items(NamedTuple):
    """A list."""

    items: "tuple[Node, ...]"
    span: Span


class Table(NamedTuple):
    """A mapping: by the text of the key, the key itself and its value."""

    fields: "dict[str, tuple[Scalar, Node]]"
    span: Span

    @property
    def entries(self) -> "Iterable[tuple[Scalar, Node]]":
        """Keys and values, in the order of the file."""
        return self.fields.values()

    def get(self, key: str) -> "Node | None":
        """The value of a key."""
        return self.fields[key][1] if key in self.fields else None

    def key(self, key: str) -> Scalar | None:
        """The key itself, for its place."""
        return self.fields[key][0] if key in self.fields else None


def table(entries: "Iterable[tuple[Scalar, Node]]", span: Span) -> Table:
    """A mapping of keys and values."""
    return Table({key.text: (key, value) for key, value in entries}, span)


Node = Scalar | Items | Table


_BREAK = re.compile("\r(?!\n)|\x85")  # what ends a line for YAML beside a line feed, and reads as one (YAML 1.1, 5.4)
_Event: TypeAlias = Any  # the package's events have no common typed attributes


class BrokenFileError(Exception):
    """Nothing sensible can be read; carries the one diagnostic."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def too_large(path: str, size: int) -> Diagnostic:
    """GP004: a file of more than MAX_BYTES."""
    message = f"the file has {size:,} bytes; at most {MAX_BYTES:,} are read"
    return Diagnostic("GP004", Span(path), message, "keep data out of it")


def decode(path: str, data: bytes) -> str:
    """The text of a file, in lines as YAML counts them; raises BrokenFileError where it is too large or not UTF-8."""
    if len(data) > MAX_BYTES:
        raise BrokenFileError(too_large(path, len(data)))
    try:
        return _BREAK.sub("\n", data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        *before, last = error.object[: error.start].decode().split("\n")  # of what stands behind a byte order mark
        line, column = len(before) + 1, len(last) + 1
        message = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise BrokenFileError(Diagnostic("GP005", Span(path, line, column), message, "save the file as UTF-8")) from None


def read(path: str, text: str) -> tuple[Node, tuple[Diagnostic, ...]]:
    """The root node and what is wrong without being fatal (keys given twice, tags).

    Raises BrokenFileError where the text is not YAML, is empty, holds several documents, or exceeds a guard.
    """
    reader = _Reader(path)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            reader.take(event)
    except yaml.YAMLError as error:
        raise BrokenFileError(explain(error, path, text)) from None
    if reader.root is None or (isinstance(reader.root, Scalar) and reader.root.is_nothing):
        raise BrokenFileError(Diagnostic("GP006", Span(path), "the file is empty", "a pipeline needs at least `stages:`"))
    return reader.root, tuple(reader.diagnostics)


def walk(node: Node) -> Iterator[Scalar]:
    """All scalars below a node, keys too."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Items):
        for item in node.items:
            yield from walk(item)
    else:
        for key, value in node.entries:
            yield key
            yield from walk(value)


def plain(node: Node) -> object:
    """The node as dict, list, str and None."""
    if isinstance(node, Scalar):
        return None if node.is_nothing else node.text
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.entries}


class _Open:
    """A collection that is still being read."""

    __slots__ = ("children", "entries", "is_table", "key", "places", "span")

    def __init__(self, is_table: bool, span: Span) -> None:
        self.is_table = is_table
        self.span = span
        self.key: Scalar | None = None
        self.entries: list[tuple[Scalar, Node]] = []
        self.children: list[Node] = []
        self.places: dict[str, Span] = {}


class _Reader:
    """Builds nodes from events, counting as it goes."""

    def __init__(self, path: str) -> None:
        self.root: Node | None = None
        self.diagnostics: list[Diagnostic] = []
        self._path = path
        self._open: list[_Open] = []
        self._nodes = 0
        self._steps = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }

    def take(self, event: _Event) -> None:
        step = self._steps.get(type(event))
        if step:
            step(event)

    def _span(self, event: _Event) -> Span:
        mark = event.start_mark
        return Span(self._path, mark.line + 1, mark.column + 1)

    def _fatal(self, code: str, event: _Event, message: str, hint: str = "") -> BrokenFileError:
        return BrokenFileError(Diagnostic(code, self._span(event), message, hint))

    def _document(self, event: _Event) -> None:
        if self.root is not None:
            hint = "one file is one pipeline; put the other into a file of its own"
            raise self._fatal("GP011", event, "a second YAML document begins here", hint)

    def _alias(self, event: _Event) -> None:
        hint = "use `defaults`, `env` or a reusable action instead; a glob that begins with * is written in quotes"
        raise self._fatal("GP010", event, f"aliases (*{event.anchor}) are not read", hint)

    def _scalar(self, event: _Event) -> None:
        start, end = event.start_mark, event.end_mark
        width = max(end.column - start.column, 1) if start.line == end.line else 1
        span = Span(self._path, start.line + 1, start.column + 1)
        if event.tag is not None:
            self._tag(event, span)
        self._add(Scalar(event.value, not event.style, span, width, end.line + 1), event)

    def _tag(self, event: _Event, span: Span) -> None:
        name = event.tag.replace("tag:yaml.org,2002:", "!!")
        hint = "quotes make a text; nothing else needs a tag"
        self.diagnostics.append(Diagnostic("GP013", span, f"YAML tags ({name}) have no meaning here", hint))

    def _start(self, event: _Event) -> None:
        if event.tag is not None:
            self._tag(event, self._span(event))
        if len(self._open) >= MAX_DEPTH:
            raise self._fatal("GP009", event, f"lists and mappings are nested more than {MAX_DEPTH} deep")
        self._open.append(_Open(isinstance(event, yaml.MappingStartEvent), self._span(event)))

    def _end(self, event: _Event) -> None:
        closed = self._open.pop()
        node: Node = table(closed.entries, closed.span) if closed.is_table else Items(tuple(closed.children), closed.span)
        self._add(node, event)

    def _add(self, node: Node, event: _Event) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._fatal("GP009", event, f"the file has more than {MAX_NODES:,} values")
        if not self._open:
            self.root = node
            return
        above = self._open[-1]
        if not above.is_table:
            above.children.append(node)
        elif above.key is None:
            above.key = self._key(node, event)
        else:
            self._entry(above, above.key, node)
            above.key = None

    def _key(self, node: Node, event: _Event) -> Scalar:
        if isinstance(node, Scalar):
            return node
        hint = 'a value that begins with { or [ is written in quotes: "${{ … }}"'
        raise BrokenFileError(Diagnostic("GP014", node.span, "a list or mapping cannot be a key", hint))

    def _entry(self, above: _Open, key: Scalar, value: Node) -> None:
        first = above.places.setdefault(key.text, key.span)
        if first is key.span:
            above.entries.append((key, value))
            return
        message = f"key '{key.text}' is given twice; the first is in line {first.line}"
        self.diagnostics.append(Diagnostic("GP012", key.span, message, "", key.width))
