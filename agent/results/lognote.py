"""The note `refs/notes/pipeline-log`: what the scripts of a commit printed, one section per attempt that ended.

A section is a header line, as many bytes as the header says, and an empty line. A reader that counts cannot be misled by a
log that prints such a header itself.

    === release #42  build/unit  attempt 1  Succeeded  1234 bytes  <attempt id> ===

Logs are made readable: UTF-8 with what is none escaped, every line ended by a line feed, without colours and without
anything else that could play tricks on a terminal.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from agent.model.execution import Execution
from agent.model.ids import attempt_id
from agent.results.record import LogRecord, Record
from agent.results.summary import clean, line, size

TAIL = 10  # lines of a log that its record keeps
_TAIL_WINDOW = 16 * 1024  # bytes that they are looked for in

_HEADER = re.compile(
    rb"\n*=== (?P<pipeline>\S+) #(?P<number>\d+)  (?P<place>[^\n]*)  attempt (?P<attempt>\d+)  (?P<status>\w+)"
    rb"  (?P<size>\d+) bytes  (?P<id>\S+) ===\n"
)
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC, DCS and the like: titles, links, clipboard
    r"|[ -/]*[0-~])"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Section(NamedTuple):
    """One attempt in the note. `place` is stage/action, `id` the attempt id."""

    pipeline: str
    number: int
    place: str
    attempt: int
    status: str
    id: str
    body: bytes

    @property
    def execution(self) -> str:
        return self.id.rsplit("-", 2)[0]


def readable(raw: bytes) -> bytes:
    """A log as text. Every line stays; a lone carriage return, as of a progress bar, begins a new one."""
    text = raw.decode(errors="backslashreplace").replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), _ESCAPES.sub("", text))
    return (text if not text or text.endswith("\n") else text + "\n").encode()


def measure(log: Path, lines: int) -> LogRecord:
    """What a record says of a log file of so many lines, but for the cut."""
    length = log.stat().st_size
    with log.open("rb") as file:
        file.seek(max(0, length - _TAIL_WINDOW))
        end = readable(file.read()).decode().splitlines()
    return LogRecord(lines=lines, bytes=length, tail=tuple(line(one) for one in end[-TAIL:]))


def shorten(log: Path, cap: int, where: str) -> tuple[bytes, int]:
    """A log file as the note has it, and how many of its bytes were cut: beyond `cap` a quarter from its head and the rest
    from its end stay, in whole lines where there are any. `where` says where the whole is."""
    length = log.stat().st_size
    with log.open("rb") as file:
        if length <= cap:
            return readable(file.read()), 0
        head = file.read(cap // 4)
        file.seek(length - (cap - cap // 4))
        tail = file.read()
    head = head[: head.rfind(b"\n") + 1] or head
    tail = tail[tail.find(b"\n") + 1 :] or tail
    cut = length - len(head) - len(tail)
    return readable(head) + f"[… {size(cut)} cut out here; {where} …]\n".encode() + readable(tail), cut


def section(of: Execution | Record, stage: str, action: str, attempt: int, status: str, body: bytes) -> Section:
    """The section of one attempt."""
    place = f"{stage}/{clean(action, 150)}"
    return Section(of.pipeline, of.number, place, attempt, status, attempt_id(of.id, stage, action, attempt), body)


def encode(one: Section) -> bytes:
    """A section as it stands in the note."""
    return (
        f"=== {one.pipeline} #{one.number}  {one.place}  attempt {one.attempt}  {one.status}"
        f"  {len(one.body)} bytes  {one.id} ===\n".encode()
        + one.body
        + b"\n"
    )


def split(note: bytes) -> tuple[tuple[Section, ...], bytes]:
    """The sections of a note, and what follows the last one that can be read."""
    pieces, rest = _pieces(note)
    return tuple(one for one, _ in pieces), rest


def _pieces(note: bytes) -> tuple[list[tuple[Section, bytes]], bytes]:
    """The sections, each with the bytes it was read from."""
    pieces, at = [], 0
    while (header := _HEADER.match(note, at)) and len(note) >= header.end() + int(header["size"]):
        body = header.end() + int(header["size"])
        end = body + 1 if note[body : body + 1] == b"\n" else body
        pieces.append((_parsed(header, note[header.end() : body]), note[at:end]))
        at = end
    return pieces, note[at:]


def _parsed(header: re.Match[bytes], body: bytes) -> Section:
    text = {name: value.decode(errors="replace") for name, value in header.groupdict().items()}
    attempt, number = int(text["attempt"]), int(text["number"])
    return Section(text["pipeline"], number, text["place"], attempt, text["status"], text["id"], body)


def merge(old: bytes | None, new: Iterable[Section]) -> bytes:
    """The note with these sections in it. A section that is there already stays: the log of an attempt that ended does not
    change. Executions stand in the order of their creation; what cannot be read stays, at the end, byte for byte.
    """
    present, rest = _pieces(old or b"")
    known = {one.id for one, _ in present}
    added = [(one, encode(one)) for one in new if one.id not in known]
    ordered = sorted((*present, *added), key=lambda piece: piece[0].execution)
    return b"".join(raw for _, raw in ordered) + rest
