"""The record: complete, versioned, and merged without touching what others wrote."""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.results import record
from tests.support.stories import NOON, Story, action, plan, stage
from tests.support.tales import CASES, success

IDS = st.integers(1, 30)
JUNK = st.binary(max_size=60).filter(lambda line: b"\n" not in line and b'"id"' not in line and line != b"")


def executed(number: int) -> record.Record:
    return Story(plan(stage("build", action("unit"))), number=number).begin().record


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_record_is_one_line_of_json_and_comes_back(case: Callable[[], list[Story]]) -> None:
    for story in case():
        line = record.encode(story.record)
        assert b"\n" not in line
        assert record.decode(line + b"\n") == (story.record,)


def test_the_first_keys_are_what_a_reader_needs_to_judge_the_rest() -> None:
    document = json.loads(record.encode(success()[0].record))
    assert list(document)[:5] == ["id", "schema", "pipeline", "number", "commit"]
    assert document["schema"] == 1


def test_a_record_tells_who_what_and_how() -> None:
    document = json.loads(record.encode(success()[0].record))
    stages = {one["name"]: one for one in document["stages"]}
    package = stages["build"]["actions"][0]
    assert package["artifacts"] == [{"name": "dist", "digest": "ab" * 32, "size": 1_234_567, "files": 3}]
    assert package["log"] == {"lines": 40, "bytes": 2048}
    answer = stages["sign-off"]["actions"][0]["approval"]["answers"][0]
    assert (answer["person"], answer["approved"], answer["comment"], answer["tag"]) == ("bob", True, "looks fine", "c0" * 20)


def test_former_attempts_keep_their_numbers_and_reasons() -> None:
    [story] = CASES["retried"]()
    unit = story.record.stages[0].actions[1]
    assert (unit.attempt, unit.status) == (2, "Succeeded")
    assert [(one.attempt, one.status, one.reason) for one in unit.former] == [(1, "Failed", "out-of-memory")]


def test_only_a_failed_attempt_keeps_the_end_of_its_log() -> None:
    for case in (CASES["failure"], success):
        for told in case()[0].record.stages[0].actions:
            assert bool(told.log and told.log.tail) == (told.status == "Failed")


@given(st.lists(IDS, max_size=12), st.lists(JUNK, max_size=6), IDS, st.randoms())
def test_merging_keeps_every_other_line(numbers: list[int], junk: list[bytes], own: int, random: object) -> None:
    others = [record.encode(executed(number)) for number in dict.fromkeys(numbers) if number != own]
    lines = others + junk
    random.shuffle(lines)  # type: ignore[attr-defined]
    former = msgspec.structs.replace(executed(own), message="former")
    old = b"".join(line + b"\n" for line in [*lines, record.encode(former)])
    merged = record.merge(old, executed(own)).split(b"\n")
    assert merged.pop() == b""
    assert sorted(merged) == sorted([*lines, record.encode(executed(own))])
    ids = [identity for line in merged if (identity := record.line_id(line))]
    assert ids == sorted(ids)


@given(st.permutations(range(1, 8)))
def test_the_order_of_writing_does_not_matter(order: list[int]) -> None:
    note = None
    for number in order:
        note = record.merge(note, executed(number))
    assert [one.number for one in record.decode(note or b"")] == list(range(1, 8))


def test_merging_twice_changes_nothing() -> None:
    once = record.merge(None, executed(1))
    assert record.merge(once, executed(1)) == once


def test_a_line_of_a_later_schema_is_kept_and_passed_over() -> None:
    later = json.dumps({**json.loads(record.encode(executed(3))), "schema": 2}).encode()
    note = record.merge(later + b"\n", executed(4))
    assert later in note.splitlines()
    assert [one.number for one in record.decode(note)] == [4]


def test_a_reader_ignores_keys_that_it_does_not_know() -> None:
    newer = json.dumps({**json.loads(record.encode(executed(3))), "unheard_of": "00"}).encode()
    assert record.decode(newer) == (executed(3),)


def test_when_it_was_written_makes_no_difference() -> None:
    later = msgspec.structs.replace(executed(1), written_at=NOON.replace(hour=13), timings={"publish": 1.0})
    assert record.says_the_same(executed(1), later)
    assert not record.says_the_same(executed(1), msgspec.structs.replace(later, message="other"))
