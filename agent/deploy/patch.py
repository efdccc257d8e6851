"""A large file as pieces of the one that it replaces and of what is new; and the shell text that puts it together on a host.

Both files are known here, so nothing is asked of the host but whether the result has the right digest.
"""

from collections.abc import Sequence
from shlex import quote
from typing import NamedTuple

from agent.deploy.tarball import Data

LEAST = 128 * 1024  # bytes of a file that is worth it
ALONE = 8 * 1024 * 1024  # bytes of one whose result is looked at by a process of its own
_COPY = 32 * 1024  # bytes of a piece: each costs the host a process
_STEP = 4096  # bytes from a difference to the first place where the files may be the same again; then twice as far each time
_FAR = 1024 * 1024  # the furthest; also how far a piece may have moved
_KEY = 64  # bytes by which a place is found again
_UNSPOKEN = "\n\r\\"  # characters of names that `sha256sum -c` spells in its own way

# `from` is the former release, `parts` where the new pieces are.
FUNCTIONS = """\
piece() { dd if="$1" bs=65536 iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none; }
old() { piece "$from/$1" "$2" "$3"; }
new() { piece "$parts/$1" "$2" "$3"; }
checking=
digest() { openssl dgst -sha256 -r "$1" 2> /dev/null || sha256sum "$1"; } # four times as fast, where it is
check() { checked && { { found=$(digest "$2"); [ "${found%% *}" = "$1" ]; } & checking=$!; }; }
checked() { [ -z "$checking" ] || wait "$checking"; }
"""
CHECK = 'checked && { [ ! -s "$parts/sums" ] || sha256sum -c "$parts/sums" > /dev/null 2>&1; }\n'


class Piece(NamedTuple):
    """Bytes of the old file, or of the new one."""

    is_old: bool
    start: int
    size: int


def speaks_of(path: str) -> bool:
    """Whether a file of this name can be put together from pieces."""
    return not set(_UNSPOKEN) & set(path)


def pieces(old: Data, new: Data) -> tuple[Piece, ...]:
    """What makes the new file, in order. Time grows with its size, however different they are."""
    found: list[Piece] = []
    told = at = shift = 0  # told: how much of the new file `found` makes
    step = _STEP
    while at < len(new):
        there = _place(old, new, at, shift)
        same = _alike(old, there, new, at)
        if same < _COPY:
            at, step = at + step, min(2 * step, _FAR)
            continue
        if at > told:
            found.append(Piece(False, told, at - told))
        found.append(Piece(True, there, same))
        shift, step = there - at, _STEP
        told = at = at + same
    if told < len(new):
        found.append(Piece(False, told, len(new) - told))
    return tuple(found)


def is_worth_it(found: Sequence[Piece]) -> bool:
    """Whether at most half of the file has to travel."""
    return 2 * sum(piece.size for piece in found if not piece.is_old) <= sum(piece.size for piece in found)


def lines(path: str, number: int, found: Sequence[Piece], *, executable: bool, digest: str = "") -> str:
    """Make the file in the working directory. Its new pieces, one behind the other, are the part of that number.

    With a `digest` it is looked at while the next one is made.
    """
    name, words, sent = quote(f"./{path}"), [], 0
    for piece in found:
        words.append(f"{f'old {quote(path)} {piece.start}' if piece.is_old else f'new {number} {sent}'} {piece.size}")
        sent += 0 if piece.is_old else piece.size
    directory = path.rpartition("/")[0]
    made = [f"mkdir -p {quote(f'./{directory}')}"] if directory else []
    made += [f"{{ {' && '.join(words)}; }} > {name}", *([f"chmod 755 {name}"] if executable else [])]
    made += [f'touch -r "$parts/{number}" {name}', *([f"check {digest} {name}"] if digest else [])]
    return f"{' && '.join(made)} || exit 1\n"


def checksum(path: str, digest: str) -> str:
    """A line of what `sha256sum -c` reads."""
    return f"{digest}  ./{path}\n"


def _place(old: Data, new: Data, at: int, shift: int) -> int:
    """Where in the old file what stands at a place of the new one may stand: where it was expected, or near there; or -1."""
    key, there = new[at : at + _KEY], max(0, at + shift)
    if old[there : there + _KEY] == key:
        return there
    first = max(0, there - _FAR)
    found = old[first : there + _FAR].find(key)
    return first + found if found >= 0 else -1


def _alike(old: Data, there: int, new: Data, at: int) -> int:
    """How many bytes from these places on are the same."""
    if there < 0:
        return 0
    same, size = 0, _KEY

    def goes_on() -> bool:
        mine = new[at + same : at + same + size]
        return len(mine) == size and old[there + same : there + same + size] == mine

    while goes_on():
        same, size = same + size, min(2 * size, _FAR)
    while size > 1:
        size //= 2
        same += size if goes_on() else 0
    return same
