"""A journal always folds; the first fact stays the fact."""

import typing
from datetime import timedelta

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from agent.execution.decide import decide, wake_at
from agent.execution.events import (
    ActionEnded,
    ActionStarting,
    Event,
    ExecutionEnded,
    ExecutionStarted,
    Gate,
    RuleEnded,
    StageArrived,
    StageEntered,
    StageRetried,
    StopRequested,
)
from agent.execution.fold import evolve, fold
from agent.execution.state import ExecutionState
from agent.model.outcome import Status
from agent.model.plan import RetryMode
from tests.support.playing import BROKEN, OK, START, action, approval, plan, stage

ENTERED = [ExecutionStarted(at=START), StageArrived(at=START, stage="s"), StageEntered(at=START, stage="s")]
RUNNING = [*ENTERED, ActionStarting(at=START, stage="s", action="a", attempt=1, deadline=START)]


def ended(attempt: int = 1, outcome=OK) -> ActionEnded:
    return ActionEnded(at=START, stage="s", action="a", attempt=attempt, outcome=outcome)


NONSENSE = [
    ([], StageEntered(at=START, stage="s")),
    ([], ended()),
    (ENTERED, StageEntered(at=START, stage="s")),
    (ENTERED, StageArrived(at=START, stage="s")),
    (RUNNING, ActionStarting(at=START, stage="s", action="a", attempt=2, deadline=START)),
    (RUNNING, ended(attempt=2)),
    ([*RUNNING, ended()], ended(outcome=BROKEN)),
    ([*RUNNING, ended()], ActionStarting(at=START, stage="s", action="a", attempt=1, deadline=START)),
    ([*RUNNING, ExecutionEnded(at=START, status=Status.FAILED)], ExecutionEnded(at=START, status=Status.SUCCEEDED)),
    ([*RUNNING, ExecutionEnded(at=START, status=Status.FAILED)], StopRequested(at=START, by="x")),
    ([], StageRetried(at=START, stage="s", mode=RetryMode.ALL_ACTIONS)),
    (
        [*ENTERED, RuleEnded(at=START, stage="s", gate=Gate.BEFORE_ENTRY, index=0, status=Status.FAILED)],
        RuleEnded(at=START, stage="s", gate=Gate.BEFORE_ENTRY, index=0, status=Status.SUCCEEDED),
    ),
]


@pytest.mark.parametrize(("before", "event"), NONSENSE)
def test_what_makes_no_sense_only_counts(before: list[Event], event: Event):
    state = fold(before)
    assert evolve(state, event) == msgspec.structs.replace(state, seq=state.seq + 1)


def test_an_end_without_an_announcement_is_an_end():
    state = fold([*ENTERED, ended(outcome=BROKEN)])
    assert state.stages["s"].actions["a"].outcome == BROKEN


def test_evolving_leaves_the_former_state_alone():
    before = fold(RUNNING)
    kept = msgspec.json.encode(before)
    evolve(before, ended())
    assert msgspec.json.encode(before) == kept


def test_an_untouched_stage_is_not_copied():
    other = [StageArrived(at=START, stage="t"), StageEntered(at=START, stage="t")]
    before = fold([*RUNNING, *other])
    assert evolve(before, ended()).stages["t"] is before.stages["t"]


def test_waiting_places_end_with_the_execution():
    state = fold([*ENTERED, StageArrived(at=START, stage="t"), ExecutionEnded(at=START, status=Status.STOPPED)])
    assert list(state.stages) == ["s"]


_small = {
    str: st.sampled_from(("s", "t", "a", "b", "")),
    int: st.integers(0, 3),
    float: st.just(1.0),
}
PLAN = plan(stage("s", "a", action("b", needs=("a",))), stage("t", approval("a")), timeout=timedelta(hours=2))


@st.composite
def events(draw) -> Event:
    """Any event at all, with names that often exist."""
    kind = draw(st.sampled_from(typing.get_args(Event)))
    values: dict[str, object] = {"at": START + timedelta(minutes=draw(st.integers(-90, 90)))}
    for field in msgspec.structs.fields(kind):
        if field.name in {"stage", "action", "attempt", "index"}:
            values[field.name] = draw(_small[int if field.name in {"attempt", "index"} else str])
        elif field.name == "outcome":
            values[field.name] = draw(st.sampled_from((OK, BROKEN)))
        elif field.required and field.name != "at":
            values[field.name] = draw(_required(field.name))
        elif field.name in {"abandon", "automatic"}:
            values[field.name] = draw(st.booleans())
    return kind(**values)


def _required(name: str):
    return {
        "status": st.sampled_from(tuple(Status)),
        "gate": st.sampled_from(tuple(Gate)),
        "mode": st.sampled_from(tuple(RetryMode)),
        "deadline": st.just(START + timedelta(hours=1)),
        "approved": st.booleans(),
        "complete": st.booleans(),
    }.get(name, st.just("x"))


@settings(max_examples=300, deadline=None)
@given(st.lists(events(), max_size=40))
def test_any_journal_folds_and_can_be_decided_upon(journal: list[Event]):
    written = [msgspec.json.encode(event) for event in [*ENTERED, *journal]]
    read = [msgspec.json.decode(line, type=Event) for line in written]
    state = ExecutionState()
    for event in read:
        state = evolve(state, event)
    assert (state, state.seq) == (fold(read), len(read))
    now = START + timedelta(minutes=30)
    assert decide(PLAN, state, now) == decide(PLAN, state, now)
    later = wake_at(PLAN, state, now)
    assert later is None or later > now
