"""Annotated tags as git stores them: header, message, trailers, and the signature cut off. pre-receive imports this.

The header is read strictly: git would take the first of two `object` lines and a person the second.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from agent.errors import RefusedError
from agent.git.command import Child, Git, TooLong

MAX_SIZE = 64 * 1024  # bytes of a tag that is read
_HEAD = 200  # and of the line that git writes before it, at most
SSH, OPENPGP, X509 = "ssh", "openpgp", "x509"

_BEGIN = {
    b"-----BEGIN SSH SIGNATURE-----": SSH,
    b"-----BEGIN PGP SIGNATURE-----": OPENPGP,
    b"-----BEGIN PGP MESSAGE-----": OPENPGP,
    b"-----BEGIN SIGNED MESSAGE-----": X509,
}
_HEADER = re.compile(
    rb"object (?P<object>[0-9a-f]{40}(?:[0-9a-f]{24})?)\n"
    rb"type (?P<type>[a-z]+)\n"
    rb"tag (?P<tag>[^\n]+)\n"
    rb"tagger (?P<name>[^<>\n]*)<(?P<email>[^<>\n]*)> (?P<when>\d{1,18}) [+-]\d{4}\n"
    rb"(?=\n|\Z)"
)


class Tag(NamedTuple):
    """A tag object. `payload` is what `signature` signs; without a signature that and `kind` are empty.

    `tagged_at` counts seconds since 1970 and is the signer's own word, as are the tagger's name and address.
    """

    target: str
    target_type: str
    name: str
    tagger: str
    email: str
    tagged_at: int
    message: str
    payload: bytes
    signature: bytes
    kind: str


def ask(git: Git, oids: Iterable[str]) -> Child:
    """Begin what `read` does: the objects are read beside us."""
    return git.start("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode())


def read(git: Git, oids: Iterable[str], asked: Child | None = None) -> dict[str, tuple[str, bytes]]:
    """Type and content of objects by id; of one that is no tag, or larger than MAX_SIZE, the content stays empty.

    `asked` are the same objects, as `ask` began it.
    """
    wanted = list(dict.fromkeys(oids))
    try:
        code, rest, _ = (asked or ask(git, wanted)).result(most=len(wanted) * (MAX_SIZE + _HEAD))
    except TooLong:
        code, rest = 1, b""
    return _read_small(git, wanted) if code else _contents(wanted, rest)


def _read_small(git: Git, wanted: list[str]) -> dict[str, tuple[str, bytes]]:
    """Somebody has tagged something large, of which nothing is read; or git fails, and says so here."""
    stdin = "".join(f"{oid}\n" for oid in wanted).encode()
    heads = [line.split() for line in git.run("cat-file", "--batch-check", stdin=stdin).decode().splitlines()]
    found = {head[0]: (head[1], b"") for head in heads}
    small = [head[0] for head in heads if len(head) == 3 and head[1] == "tag" and int(head[2]) <= MAX_SIZE]
    if small:
        found |= _contents(small, git.run("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in small).encode()))
    return found


def _contents(wanted: list[str], rest: bytes) -> dict[str, tuple[str, bytes]]:
    """What `cat-file --batch` writes of objects."""
    found = {}
    for oid in wanted:
        head, _, rest = rest.partition(b"\n")
        _, kind, *sizes = head.decode().split(" ")
        size = int(sizes[0]) if sizes else 0
        found[oid] = (kind, rest[:size] if kind == "tag" and size <= MAX_SIZE else b"")
        rest = rest[size + 1 :] if sizes else rest
    return found


def parse(kind: str, raw: bytes) -> Tag:
    """The tag object with this type and content, as `read` returns them. Raises RefusedError for what is no proper tag."""
    if kind != "tag":
        raise RefusedError(f"it is a lightweight tag: it points straight at a {kind}", hint="sign it: git tag -s <tag> <commit>")
    if not raw:
        raise RefusedError(f"the tag object has more than {MAX_SIZE} bytes", hint="write a shorter message")
    payload, signature, how = split(raw)
    head = _HEADER.match(payload)
    if head is None:
        raise RefusedError("the header of the tag object is malformed", hint="make it with git tag -s")
    return Tag(
        target=head["object"].decode(),
        target_type=head["type"].decode(),
        name=head["tag"].decode(errors="backslashreplace"),
        tagger=head["name"].decode(errors="replace").strip(),
        email=head["email"].decode(errors="replace"),
        tagged_at=int(head["when"]),
        message=payload[head.end() :].decode(errors="replace").strip("\n"),
        payload=payload,
        signature=signature,
        kind=how,
    )


def split(raw: bytes) -> tuple[bytes, bytes, str]:
    """Payload, signature and its kind: git's rule, the signature begins at the last line that begins one."""
    at, kind = len(raw), ""
    position = 0
    for line in raw.splitlines(keepends=True):
        for begin, named in _BEGIN.items():
            if line.startswith(begin):
                at, kind = position, named
        position += len(line)
    return raw[:at], raw[at:], kind


def trailers(message: str, keys: Iterable[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A message without the lines that begin with one of the keys and a colon, and those: (key, value), in their order.

    They count wherever they stand: a `Mode: all` that was silently taken for a comment would do what nobody meant.
    """
    known = {key.casefold(): key for key in keys}
    kept: list[str] = []
    found: list[tuple[str, str]] = []
    for line in message.split("\n"):
        key, colon, value = line.partition(":")
        name = known.get(key.strip().casefold()) if colon else None
        if name:
            found.append((name, value.strip()))
        else:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), tuple(found)
