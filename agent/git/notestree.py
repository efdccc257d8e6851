"""The tree behind a notes ref: `ab/cd/ef…` or fewer slashes, deeper where it is fuller. Reads every mixture that git writes.

A change rewrites only the trees on its way: directories of two hex digits are followed where a tree has any; a tree of more than
256 notes is split into them once.
"""

import re
from collections.abc import Iterator
from typing import Protocol

from dulwich.objects import ObjectID, parse_tree, serialize_tree, sorted_tree_items

SPLIT = 256  # notes in one tree
FILE, DIRECTORY = 0o100644, 0o040000

_FAN = re.compile(rb"[0-9a-f]{2}")
_HEX = re.compile(rb"[0-9a-f]+")


class Store(Protocol):
    """Where objects are read from and written to; ids are hex."""

    def content(self, oid: bytes) -> bytes: ...

    def put(self, kind: bytes, content: bytes) -> bytes: ...


class Node:
    """One tree. `rest` is what is left of a commit's id below it."""

    def __init__(self, store: Store, oid: bytes = b"", width: int = 20) -> None:
        self._store = store
        self._width = width
        self._oid = oid
        self._children: dict[bytes, Node] = {}
        self._entries: dict[bytes, tuple[int, ObjectID]] = {}
        if oid:
            self._entries = {name: (mode, ObjectID(sha)) for name, mode, sha in parse_tree(store.content(oid), width)}

    def find(self, rest: bytes) -> Iterator[bytes]:
        """The blobs noted for a commit: one, none, or several where two writers of different habits met."""
        if rest in self._entries:
            yield self._entries[rest][1]
        if len(rest) > 2 and (child := self._child(rest[:2])):
            yield from child.find(rest[2:])

    def remove(self, rest: bytes) -> None:
        """Forget every blob noted for a commit."""
        if self._entries.pop(rest, None):
            self._oid = b""
        if len(rest) > 2 and (child := self._child(rest[:2])):
            child.remove(rest[2:])

    def insert(self, rest: bytes, blob: bytes) -> None:
        """Note a blob; what was noted for the commit must be removed before."""
        self._oid = b""
        if len(rest) > 2 and self._is_split():
            self._grow(rest[:2]).insert(rest[2:], blob)
            return
        self._entries[rest] = (FILE, ObjectID(blob))
        if len(rest) > 2 and len(self._entries) > SPLIT:
            self._split(len(rest))

    def commits(self, before: bytes = b"") -> Iterator[bytes]:
        """The ids of all commits that have a note."""
        for name, (mode, _) in list(self._entries.items()):
            if child := self._child(name) if mode == DIRECTORY else None:
                yield from child.commits(before + name)
            elif len(before) + len(name) == 2 * self._width and _HEX.fullmatch(name):
                yield before + name

    def write(self) -> bytes:
        """Store what changed; the id of this tree, or nothing if it is empty."""
        for name, child in self._children.items():
            oid = child.write()
            if not oid:
                self._oid = b""
                self._entries.pop(name, None)
            elif (DIRECTORY, oid) != self._entries.get(name):
                self._oid = b""
                self._entries[name] = (DIRECTORY, ObjectID(oid))
        if not self._oid and self._entries:
            items = sorted_tree_items(self._entries, False)
            self._oid = self._store.put(b"tree", b"".join(serialize_tree(items)))
        return self._oid if self._entries else b""

    def _is_split(self) -> bool:
        written = (name for name, (mode, _) in self._entries.items() if mode == DIRECTORY)
        return bool(self._children) or any(_FAN.fullmatch(name) for name in written)

    def _child(self, name: bytes) -> "Node | None":
        if name not in self._children and _FAN.fullmatch(name):
            mode, oid = self._entries.get(name, (0, b""))
            if mode == DIRECTORY:
                self._children[name] = Node(self._store, oid, self._width)
        return self._children.get(name)

    def _grow(self, name: bytes) -> "Node":
        child = self._child(name)
        if child is None:
            child = self._children[name] = Node(self._store, width=self._width)
        return child

    def _split(self, length: int) -> None:
        """Move all notes of this tree into directories."""
        for name in [name for name in self._entries if len(name) == length and _HEX.fullmatch(name)]:
            self._grow(name[:2]).insert(name[2:], self._entries.pop(name)[1])
