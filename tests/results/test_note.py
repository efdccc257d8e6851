"""The text of the notes: golden files, one per tale. To renew them: python -m tests.support.golden (and look at the diff)."""

from pathlib import Path

import pytest

from agent.execution.fold import evolve
from agent.execution.state import ExecutionState
from agent.results import note, record, recording
from tests.support.tales import CASES

GOLDEN = Path(__file__).parents[1] / "cases" / "notes"


@pytest.mark.parametrize("case", CASES)
def test_the_note_reads_as_it_always_did(case: str) -> None:
    told = note.render(story.record for story in CASES[case]())
    assert told == (GOLDEN / f"{case}.txt").read_text()


def test_every_golden_file_has_its_tale() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_the_note_needs_nothing_but_the_records(case: str) -> None:
    stories = CASES[case]()
    lines = None
    for story in reversed(stories):
        lines = record.merge(lines, story.record)
    assert note.render(record.decode(lines or b"")) == note.render(story.record for story in stories)


@pytest.mark.parametrize("case", CASES)
def test_a_note_is_plain_text(case: str) -> None:
    told = note.render(story.record for story in CASES[case]())
    assert all(char.isprintable() or char == "\n" for char in told)
    assert all(line == line.rstrip() for line in told.splitlines())


@pytest.mark.parametrize("case", CASES)
def test_every_moment_of_a_tale_can_be_told(case: str) -> None:
    """A note is written at any point of an execution: none of them may fail, and all name the execution."""
    for story in CASES[case]():
        state = ExecutionState()
        for event in story.events:
            state = evolve(state, event)
            made = recording.make(story.execution, story.plan, state, event.at)
            assert note.render([made]).startswith(f"{story.execution.label}  ")


def test_no_records_no_note() -> None:
    assert note.render(()) == ""
