"""The bytes of a tar archive, record by record: ten times as fast as `tarfile` where there are many small files."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

BLOCK = 512
_ZERO = b"\0"
_LONG = 100  # bytes of a name or target that fit into a header
LIMIT = 8**11  # bytes of a file that eleven octal digits can tell
END = _ZERO * (2 * BLOCK)
_LINK = ord("2")
_KINDS = frozenset((0, ord("0"), _LINK))
_AT_ONCE = 128 * 1024  # what stays in the cache of a processor: compared three times as fast as a megabyte


def head(name: str, mode: str, size: int, mtime: int) -> bytes:
    """What stands before a regular file of `size` bytes; `mode` is git's (100644 or 100755). Raises ValueError if too big."""
    if size >= LIMIT:
        raise ValueError(f"{name} is too big for a tar archive")
    path = name.encode(errors="surrogateescape")
    return _long(path, b"L", mtime) + _record(path, 0o755 if mode == "100755" else 0o644, size, mtime, b"0")


def padding(size: int) -> bytes:
    """What stands after a file of `size` bytes."""
    return _ZERO * (-size % BLOCK)


def link(name: str, target: str, mtime: int) -> bytes:
    """A symbolic link."""
    path, to = name.encode(errors="surrogateescape"), target.encode(errors="surrogateescape")
    return _long(to, b"K", mtime) + _long(path, b"L", mtime) + _record(path, 0o777, 0, mtime, b"2", to)


def _long(text: bytes, kind: bytes, mtime: int) -> bytes:
    """GNU's way to say a long name, which busybox reads too."""
    if len(text) <= _LONG:
        return b""
    body = text + _ZERO
    return _record(b"././@LongLink", 0o644, len(body), mtime, kind) + body + padding(len(body))


def _record(name: bytes, mode: int, size: int, mtime: int, kind: bytes, target: bytes = b"") -> bytes:
    before = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (name[:_LONG].ljust(100, _ZERO), mode, 0, 0, size, mtime)
    after = kind + target[:_LONG].ljust(100, _ZERO) + b"ustar  \0"
    block = (before + b" " * 8 + after).ljust(BLOCK, _ZERO)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


class Data(Protocol):
    """The bytes of an archive, in memory or mapped into it."""

    def __getitem__(self, part: slice, /) -> bytes: ...

    def __len__(self) -> int: ...


class Part:
    """Some of the bytes of an archive: as a whole, or piece by piece."""

    def __init__(self, data: Data, start: int, size: int) -> None:
        self._data = data
        self._start = start
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice, /) -> bytes:
        start, end, _ = part.indices(self._size)
        return self._data[self._start + start : self._start + max(start, end)]

    def __iter__(self) -> Iterator[bytes]:
        return (self[at : at + _AT_ONCE] for at in range(0, self._size, _AT_ONCE))


class Member(NamedTuple):
    """A file or link of an archive: `mode` as git has it, where its content begins and how long it is; `target` of a link."""

    mode: str
    start: int
    size: int
    target: bytes = b""


def read(data: Data) -> dict[str, Member] | None:
    """Look through an archive that has nothing but files and links with short names; None for any other."""
    members: dict[str, Member] = {}
    at, end = 0, len(data)
    while at + BLOCK <= end:
        head = data[at : at + BLOCK]
        if head[0] == 0:
            return members
        kind, at = head[156], at + BLOCK
        if kind not in _KINDS or head[345]:
            return None
        name = head[:_LONG].rstrip(_ZERO).decode(errors="surrogateescape")
        if kind == _LINK:
            members[name] = Member("120000", at, 0, head[157:257].rstrip(_ZERO))
        size = int(head[124:135], 8)
        if kind != _LINK:
            members[name] = Member("100755" if int(head[100:107], 8) & 0o100 else "100644", at, size)
        at += size + -size % BLOCK
    return None


def alike(old: Data, olds: Mapping[str, Member], new: Data, news: Mapping[str, Member]) -> set[str]:
    """The names of what is the same in two archives. Files that lie in the same order in both are compared many at a time."""
    same: set[str] = set()
    run: list[str] = []
    first = behind = shift = 0  # where the run begins and ends in the new archive, and how far from there it is in the old one

    def judge() -> None:
        if old[first + shift : behind + shift] == new[first:behind]:
            same.update(run)
        elif len(run) > 1:
            same.update(name for name in run if _is_alike(old, olds[name], new, news[name]))

    for name, member in news.items():
        former = olds.get(name)
        if former is None or (former.mode, former.size, former.target) != (member.mode, member.size, member.target):
            continue
        if member.size > _AT_ONCE:
            if _is_alike(old, former, new, member):
                same.add(name)
            continue
        if not run or former.start - member.start != shift or member.start != behind + BLOCK or behind - first > _AT_ONCE:
            judge()
            run, first, shift = [], member.start, former.start - member.start
        run.append(name)
        behind = member.start + member.size + -member.size % BLOCK
    judge()
    return same


def _is_alike(old: Data, former: Member, new: Data, member: Member) -> bool:
    """Whether the contents, which are of one size, are the same. Read side by side: that is faster than any digest."""
    shift, end = former.start - member.start, member.start + member.size
    parts = ((at, min(at + _AT_ONCE, end)) for at in range(member.start, end, _AT_ONCE))
    return all(old[at + shift : to + shift] == new[at:to] for at, to in parts)
