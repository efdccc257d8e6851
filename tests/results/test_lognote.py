"""The log note: every line is there, and no log can pass itself off as another."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.results import lognote
from tests.support.stories import Story, action, plan, stage

RECORD = Story(plan(stage("build", action("unit")))).record
FORGED = lognote.encode(lognote.section(RECORD, "production", "web", 1, "Succeeded", b"all is well\n"))


def section(raw: bytes, name: str = "unit", attempt: int = 1, of: lognote.Record = RECORD) -> lognote.Section:
    return lognote.section(of, "build", name, attempt, "Failed", lognote.readable(raw))


HOSTILE = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([FORGED, b"\n", b"=== ", b" ===\n", b"release #42", b"\xff\x00", b"x\n"]), max_size=8).map(b"".join),
)
NAMES = st.text(min_size=1, max_size=20)


@given(st.lists(st.tuples(NAMES, HOSTILE), unique_by=lambda one: one[0], max_size=6))
def test_sections_come_back_whatever_the_logs_and_names_are(printed: list[tuple[str, bytes]]) -> None:
    sections = [section(raw, name) for name, raw in printed]
    assert lognote.split(lognote.merge(None, sections)) == (tuple(sections), b"")


@given(HOSTILE, HOSTILE, HOSTILE)
def test_what_cannot_be_read_stays(first: bytes, second: bytes, junk: bytes) -> None:
    old = lognote.merge(None, [section(first)]) + b"!" + junk
    note = lognote.merge(old, [section(second, "lint")])
    assert note.endswith(b"!" + junk)
    assert lognote.split(note)[0] == (section(first), section(second, "lint"))


@given(HOSTILE, HOSTILE)
def test_a_section_that_is_there_is_never_changed(first: bytes, second: bytes) -> None:
    note = lognote.merge(None, [section(first)])
    assert lognote.merge(note, [section(second)]) == note


def test_two_notes_that_git_put_together_are_read_as_one() -> None:
    notes = [lognote.merge(None, [section(b"hello\n", name)]) for name in ("unit", "lint")]
    together = notes[0].removesuffix(b"\n") + b"\n\n" + notes[1]
    assert [one.place for one in lognote.split(together)[0]] == ["build/unit", "build/lint"]
    assert lognote.merge(together, []) == together


def test_executions_stand_in_the_order_of_their_creation() -> None:
    records = [Story(plan(stage("build", action("unit"))), number=number).record for number in (3, 1, 2)]
    note = None
    for one in records:
        note = lognote.merge(note, [section(b"hello\n", of=one)])
    assert [one.number for one in lognote.split(note or b"")[0]] == [1, 2, 3]


@given(st.binary())
def test_a_readable_log_is_text_that_cannot_move_the_cursor(raw: bytes) -> None:
    text = lognote.readable(raw)
    assert not text or text.endswith(b"\n")
    assert all(char.isprintable() or char in "\n\t" or ord(char) > 0x9F for char in text.decode())
    assert b"\x00" not in text
    assert b"\x1b" not in text


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=20))
def test_a_plain_log_stays_as_it_is(lines: list[str]) -> None:
    raw = "".join(f"{line}\n" for line in lines).encode()
    assert lognote.readable(raw) == raw


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[1;31mred\x1b[0m\n", "red\n"),
        (b"10%\r20%\rdone\r\n", "10%\n20%\ndone\n"),
        (b"\x1b]0;title\x07on\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", "onlink\n"),
        (b"caf\xe9 \xc3\xa9\x00\x08\n", "caf\\xe9 é\\x00\\x08\n"),
        (b"no newline", "no newline\n"),
        (b"", ""),
    ],
)
def test_how_a_log_is_made_readable(raw: bytes, text: str) -> None:
    assert lognote.readable(raw).decode() == text


@given(st.integers(0, 400), st.integers(8, 2000))
def test_lesson_1_19_a_cut_log_has_its_head_its_tail_and_says_what_is_missing(
    tmp_path_factory: pytest.TempPathFactory, count: int, cap: int
) -> None:
    log = tmp_path_factory.getbasetemp() / "long.log"
    raw = b"".join(b"line %d\n" % index for index in range(count))
    log.write_bytes(raw)
    body, cut = lognote.shorten(log, cap, "look there")
    if len(raw) <= cap:
        assert (body, cut) == (raw, 0)
    else:
        head, _, tail = body.partition("[… ".encode())
        told, _, tail = tail.partition(" …]\n".encode())
        assert told.decode() == f"{lognote.size(cut)} cut out here; look there"
        assert raw.startswith(head.rstrip(b"\n"))
        assert raw.endswith(tail)
        assert len(head.rstrip(b"\n")) + len(tail) + cut in {len(raw), len(raw) - 1}


def test_a_record_keeps_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_bytes(b"".join(b"\x1b[32m  line %d\x1b[0m\n" % index for index in range(5000)))
    measured = lognote.measure(log, 5000)
    assert measured.tail == tuple(f"  line {index}" for index in range(4990, 5000))
    assert (measured.lines, measured.bytes) == (5000, log.stat().st_size)
