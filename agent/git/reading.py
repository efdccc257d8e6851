"""Reads notes and objects of a clone for those who trust nobody: every object is hashed again, as git does not always do."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping

from agent.git.command import Git
from agent.git.commits import parents

_CHUNK = 1000  # objects that are read in one go
_ENTRY = re.compile(r"100644 blob (?P<blob>[0-9a-f]+)\t(?P<path>[0-9a-f/]+)")

Objects = Mapping[str, tuple[str, bytes]]


class Reader:
    """One repository, read with the git binary."""

    def __init__(self, git: Git) -> None:
        self.git = git

    def tip(self, ref: str) -> str:
        """The object of a ref; empty if there is no such ref."""
        return self.git.call("rev-parse", "-q", "--verify", "--end-of-options", ref)[1].decode().strip()

    def notes(self, tip: str) -> tuple[tuple[str, str], ...]:
        """Commits with the ids of their notes, as of a commit of a notes ref. Raises EnvironmentFault if a tree is damaged."""
        listed = self.git.run("ls-tree", "-r", "-z", "--full-tree", tip).decode(errors="replace").split("\0")
        found = (_ENTRY.fullmatch(entry) for entry in listed)
        return tuple((one["path"].replace("/", ""), one["blob"]) for one in found if one)

    def history(self, tip: str) -> Iterator[tuple[str, bytes | None]]:
        """All commits that a commit goes back to, itself included: id and content, None if it is missing or damaged.

        git lists them without hashing; so a parent that it did not list is looked for, too.
        """
        listed = self.git.call("rev-list", tip, "--")[1].decode().split()
        waiting, seen = [tip, *listed], set[str]()
        while waiting:
            chunk = [oid for oid in dict.fromkeys(waiting[:_CHUNK]) if oid not in seen]
            waiting = waiting[_CHUNK:]
            seen.update(chunk)
            objects = self.objects(chunk)
            for oid in chunk:
                kind, raw = objects.get(oid, ("", b""))
                yield oid, raw if kind == "commit" else None
                if kind == "commit":
                    waiting += [parent for parent in parents(raw) if parent not in seen]

    def objects(self, oids: Iterable[str]) -> Objects:
        """Type and content by id, of those that are here and undamaged."""
        asked = list(dict.fromkeys(oids))
        found: dict[str, tuple[str, bytes]] = {}
        for start in range(0, len(asked), _CHUNK):
            found.update(self._batch(asked[start : start + _CHUNK]))
        return found

    def _batch(self, oids: list[str]) -> Iterator[tuple[str, tuple[str, bytes]]]:
        code, out, _ = self.git.call("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode())
        if code and len(oids) > 1:  # git gives up at an object that it cannot unpack
            for oid in oids:
                yield from self._batch([oid])
            return
        at = 0
        while at < len(out):
            end = out.index(b"\n", at)
            head = out[at:end].decode(errors="replace").split(" ")
            at = end + 1
            if len(head) == 3 and head[2].isdigit():
                body = out[at : at + int(head[2])]
                at += int(head[2]) + 1
                if _hash(head[1], body, len(head[0])) == head[0]:
                    yield head[0], (head[1], body)


def _hash(kind: str, body: bytes, digits: int) -> str:
    algorithm = "sha1" if digits == 40 else "sha256"
    return hashlib.new(algorithm, b"%s %d\0%s" % (kind.encode(), len(body), body), usedforsecurity=False).hexdigest()
