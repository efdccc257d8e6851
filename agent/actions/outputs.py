"""What a script says through $PIPELINE_OUTPUT: `name=value` lines, and `name<<END` … `END` for values of several lines."""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from agent.errors import AgentError

LIMIT = 122_880  # bytes of all outputs of an action (codepipeline.md 1.5)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_SHAPE = "write `name=value`, or `name<<END`, the lines of the value, and a line `END`"

Lines = Iterator[tuple[int, str]]


class OutputError(AgentError):
    """The output file of a script is malformed, or lacks what the action declares."""


class Outputs(NamedTuple):
    """The declared outputs, and the names of those nobody declared."""

    values: dict[str, str]
    undeclared: tuple[str, ...]


def parse(content: bytes, declared: Collection[str]) -> Outputs:
    """Read the output file of an action that declares these outputs; the last value of a name counts.

    Raises OutputError, with the number of the line, for what is not in one of the two forms, for bytes that are not UTF-8 or are
    NUL, for more than LIMIT bytes, and if a declared output is missing.
    """
    if len(content) > LIMIT:
        raise OutputError(
            f"the outputs have more than {LIMIT} bytes, the most an action may give",
            hint="hand on big values as files of an artifact",
        )
    found = dict(_pairs(content))
    missing = [name for name in declared if name not in found]
    if missing:
        raise OutputError(
            f"the script did not set the declared output {', '.join(missing)}",
            hint=f'echo "{missing[0]}=VALUE" >> "$PIPELINE_OUTPUT"',
        )
    return Outputs({name: found[name] for name in declared}, tuple(name for name in found if name not in declared))


def _pairs(content: bytes) -> Iterator[tuple[str, str]]:
    lines = _lines(content)
    for number, line in lines:
        if not line.strip():
            continue
        at = re.search(r"=|<<", line)
        name = line[: at.start()] if at else line
        if not at:
            raise _bad(number, f"{_shown(line)} has neither '=' nor '<<'")
        if not _NAME.fullmatch(name):
            raise _bad(number, f"{_shown(name)} is not a name of letters, digits, '_' and '-'")
        rest = line[at.end() :]
        yield name, rest if at.group() == "=" else _block(lines, number, rest.strip())


def _block(lines: Lines, start: int, end: str) -> str:
    if not end:
        raise _bad(start, "the word that ends the value is missing after '<<'")
    value: list[str] = []
    for _, line in lines:
        if line == end:
            return "\n".join(value)
        value.append(line)
    raise _bad(start, f"the value that begins here is not ended by a line {_shown(end)}")


def _lines(content: bytes) -> Lines:
    for number, raw in enumerate(content.split(b"\n"), 1):
        if b"\0" in raw:
            raise _bad(number, "it has a NUL byte")
        try:
            yield number, raw.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise _bad(number, "it is not UTF-8") from error


def _bad(number: int, why: str) -> OutputError:
    return OutputError(f"$PIPELINE_OUTPUT, line {number}: {why}", hint=_SHAPE)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
