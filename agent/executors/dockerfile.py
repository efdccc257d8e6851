"""What a Dockerfile brings in from elsewhere: images, and what the engine itself would fetch. Pure.

It is judged, not run: where it cannot be told for certain what an instruction means, that is said, and never guessed.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(.*?)\s*")
_IMAGE = re.compile(r"[\w./:@-]+", re.ASCII)
_FROM = re.compile(r"(?:--platform=\S+\s+)?(\S+)(?:\s+as\s+(\S+))?", re.IGNORECASE)
_ARGUMENT = re.compile(r"(\w+)(?:=(\"?)(\S*)\2)?", re.ASCII)
_VALUE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^${}]*))?\})", re.ASCII)
_COPIED = re.compile(r"--from=(\S+)", re.IGNORECASE)


class Brought(NamedTuple):
    """`images`: names of images as written, with arguments put in. `unclear`: lines of which it cannot be told."""

    images: tuple[str, ...]
    unclear: tuple[str, ...]
    fetched: tuple[str, ...]  # lines by which the engine, in a network of its own, would fetch something


def brought(text: str, given: Mapping[str, str]) -> Brought:
    """What a Dockerfile brings in when it is built with these arguments."""
    images: dict[str, None] = {}
    unclear, fetched = [], []
    stages: set[str] = {"scratch"}
    known: dict[str, str] | None = {}
    for line in _lines(text):
        keyword, _, rest = line.partition(" ")
        while keyword.upper() == "ONBUILD":
            keyword, _, rest = rest.strip().partition(" ")
        rest = rest.strip()
        match keyword.upper():
            case "ARG" if len(stages) == 1 and known is not None:
                known = _argument(rest, known, given)
            case "FROM":
                found = _FROM.fullmatch(rest)
                name = _put_in(found[1], known) if found else ""
                if not found or not _IMAGE.fullmatch(name):
                    unclear.append(line)
                elif name.lower() not in stages:
                    images[name] = None
                stages.add(str(len(stages) - 1))
                stages.add(((found and found[2]) or "0").lower())
            case "ADD" if re.search(r"://|git@|[$\\]", rest):
                fetched.append(line)
            case _ if named := _COPIED.findall(rest):
                strange = [name for name in named if name.lower() not in stages]
                unclear += [line for name in strange if not _IMAGE.fullmatch(name)]
                images |= dict.fromkeys(name for name in strange if _IMAGE.fullmatch(name))
            case _:
                pass
    return Brought(tuple(images), tuple(unclear), tuple(fetched))


def _lines(text: str) -> Iterator[str]:
    """Instructions, each in one line, as the engine reads them: comments and empty lines do not end one that goes on."""
    escape, may_direct, held = "\\", True, ""
    for raw in text.removeprefix("\ufeff").splitlines():
        line = raw.strip()
        directive = _DIRECTIVE.fullmatch(line) if may_direct else None
        may_direct = bool(directive)
        if directive and directive[1].lower() == "escape":
            escape = directive[2]
        if not line or line.startswith("#"):
            continue
        goes_on = line.endswith(escape)
        held += (raw.rstrip() if held else line).removesuffix(escape)
        if not goes_on:
            yield re.sub(r"\s", " ", held.strip())
            held = ""
    if held:
        yield re.sub(r"\s", " ", held.strip())


def _argument(rest: str, known: dict[str, str], given: Mapping[str, str]) -> dict[str, str] | None:
    """The arguments with one more that an image's name may hold; None if it is not certain what was declared."""
    found = _ARGUMENT.fullmatch(rest)
    value = _put_in(found[3], known) if found and found[3] else ""
    if not found or not re.fullmatch(r"[\w./:@-]*", value, re.ASCII):
        return None
    return known | {found[1]: given.get(found[1], value)}


def _put_in(text: str, known: Mapping[str, str] | None) -> str:
    if known is None:
        return text
    return _VALUE.sub(lambda found: known.get(found[1] or found[2]) or found[3] or "", text)
