"""The chain of what has ended: each end of an execution names the digest of the one before, so none can be changed or taken out.

A record is rewritten while its execution goes on: signed each time, but a link of the chain only once it has ended. A retry ends
it again, as a new link; the line then keeps place and digest of its former ends.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

import msgspec

from agent.errors import RefusedError
from agent.git import commits
from agent.model.value import Value
from agent.results.record import Link, Record, encode
from agent.results.sign import GIT, RECORD, PrivateKey, PublicKey, bare, signer_of

KEY = "Chain"  # the trailer of the commits of the notes ref that says how far the chain goes
_SIGNED = re.compile(rb'(?P<before>.*,"signature":")(?P<signature>[^"]*)(?P<after>"\})', re.DOTALL)
_TOLD = re.compile(r"(?P<sequence>[1-9]\d{0,17}) (?P<digest>[0-9a-f]{64})")


class Head(Value, frozen=True, kw_only=True):
    """The last link: its place, counted from 1, and the sha256 of its line."""

    sequence: int = 0
    digest: str = ""

    @property
    def trailer(self) -> str:
        return f"{KEY}: {self.sequence} {self.digest}\n" if self.sequence else ""


class Chain:
    """The chain as the one publisher of a repository makes it longer."""

    def __init__(
        self,
        key: PrivateKey,
        kept: Callable[[], Head | None],
        keep: Callable[[Head], None],
        published: Callable[[], Iterable[bytes]],
    ) -> None:
        """`kept` and `keep`: the head in the state; `published`: the commits of the record's ref, newest first."""
        self.key = key
        self._kept = kept
        self._keep = keep
        self._published = published
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        """How far it goes. What was published and not kept (a crash in between) counts if we have signed it.

        Without a state (its directory was deleted) what was published last is believed, whoever has signed it.
        """
        if self._head is None:
            kept = self._kept()
            told, commit = _newest(self._published())
            ours = told.sequence and signed_by(commit, self.key.public)
            self._head = told if kept is None or (ours and told.sequence > kept.sequence) else kept
        return self._head

    def seal(self, record: Record, former: bytes) -> tuple[Record, Head]:
        """A record signed, as a new link if it has ended, and the head of the chain with it; `former` is the line it replaces."""
        links = tuple(links_of(former))
        head = self.head
        if not record.status.is_final:
            return self._signed(msgspec.structs.replace(record, links=links)), head
        made = msgspec.structs.replace(record, links=links, sequence=head.sequence + 1, previous=head.digest)
        sealed = self._signed(made)
        return sealed, Head(sequence=sealed.sequence, digest=digest(encode(sealed)))

    def published(self, head: Head) -> None:
        """The chain is in git up to here."""
        if head != self._head:
            self._keep(head)
            self._head = head

    def forget(self) -> None:
        """Nobody knows whether the last link was published: look again."""
        self._head = None

    def _signed(self, record: Record) -> Record:
        return msgspec.structs.replace(record, signature=self.key.seal(encode(record), RECORD))


def _newest(published: Iterable[bytes]) -> tuple[Head, bytes]:
    """The head that the commits tell of last, and the commit that does."""
    for commit in published:
        if found := _TOLD.fullmatch(commits.trailer(commit, KEY)):
            return Head(sequence=int(found["sequence"]), digest=found["digest"]), commit
    return Head(), b""


def digest(line: bytes) -> str:
    """What the next link calls a line: its sha256, hex."""
    return sha256(line).hexdigest()


def signed_by(commit: bytes, key: PublicKey) -> bool:
    """Whether a commit carries this key's signature."""
    payload, signature = commits.split(commit)
    try:
        key.check(payload, bare(signature), GIT)
    except RefusedError:
        return False
    return True


def parts(line: bytes) -> tuple[bytes, str]:
    """What the signature of a line is for, and the signature; empty if it has none."""
    found = _SIGNED.fullmatch(line)
    if not found:
        return line, ""
    return found["before"] + found["after"], found["signature"].decode(errors="replace")


def key_of(line: bytes) -> PublicKey | None:
    """The key that a line claims to be signed by."""
    return signer_of(parts(line)[1])


def check_line(line: bytes, keys: Iterable[PublicKey]) -> PublicKey:
    """The key that signed a line. Raises RefusedError if none of these did, for exactly these bytes."""
    payload, signature = parts(line)
    if not signature:
        raise RefusedError("it is not signed")
    known = tuple(keys)
    chosen = next((key for key in known if key == signer_of(signature)), known[0] if known else None)
    if chosen is None:
        raise RefusedError("nobody's key is known")
    chosen.check(payload, signature, RECORD)
    return chosen


class _Linked(Value, frozen=True, kw_only=True):
    sequence: int = 0
    previous: str = ""
    links: tuple[Link, ...] = ()


def links_of(line: bytes) -> Iterator[Link]:
    """The links that a line is and was; none if it cannot be read."""
    try:
        found = msgspec.json.decode(line, type=_Linked)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    yield from found.links
    if found.sequence:
        yield Link(sequence=found.sequence, previous=found.previous, digest=digest(line))


class Placed(NamedTuple):
    """A link, and what people call the execution it belongs to."""

    link: Link
    label: str


def breaks(links: Iterable[Placed]) -> Iterator[str]:
    """What is wrong with a chain, place by place; nothing if it is whole."""
    before: Placed | None = None
    for one in sorted(links, key=lambda placed: (placed.link.sequence, placed.label)):
        last = before.link.sequence if before else 0
        gap = one.link.sequence - last
        if gap > 1:
            lost = f"link {last + 1} is" if gap == 2 else f"links {last + 1} to {one.link.sequence - 1} are"
            yield f"{lost} missing, before {one.label}: a result was removed, or replaced by an older form"
        elif gap < 1:
            yield f"link {one.link.sequence} is there twice: {before.label if before else ''} and {one.label}"
        elif one.link.previous != (before.link.digest if before else ""):
            other = before.label if before else "nothing"
            yield f"link {one.link.sequence}, {one.label}, does not follow {other}: one of the two was changed"
        before = one
