"""Who enters a stage, who waits, who is superseded."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from agent.errors import RefusedError
from agent.execution.events import Gate
from agent.execution.modes import Enter, Place, Supersede, admit, places
from agent.execution.state import GateState
from agent.model.ids import ExecutionId, PipelineName, StageName
from agent.model.outcome import Status
from agent.model.plan import Mode, PlannedStage
from tests.support.playing import BROKEN, START, World, approval, end_all, plan, stage, started, statuses


def place(number: int, **fields) -> Place:
    base = {
        "execution": ExecutionId(f"x{number}"), "pipeline": PipelineName("release"), "number": number, "stage": StageName("s"),
        "arrived_at": START + timedelta(minutes=number),
    }  # fmt: skip
    return Place(**{**base, **fields})


def said(*places: Place, **fields) -> list[str]:
    words = []
    for decision in admit(places, **fields):
        match decision:
            case Enter(execution=name, stage=where):
                words.append(f"{name} enters {where}")
            case Supersede(execution=name, by=by):
                words.append(f"{name} gives way to {by or 'the past'}")
    return words


PAST = ["x1 gives way to the past", "x2 enters s"]
S, Q, P = Mode.SUPERSEDED, Mode.QUEUED, Mode.PARALLEL
TABLE = [
    ("a free stage is entered", [place(1)], {}, ["x1 enters s"]),
    ("a taken one is not", [place(1, held=True, idle=False), place(2)], {}, []),
    (
        "of those that wait the newest stays",
        [place(1, held=True, idle=False), place(2), place(3), place(4)],
        {},
        ["x3 gives way to x4", "x2 gives way to x4"],
    ),
    ("and enters at once if it can", [place(2), place(3)], {}, ["x2 gives way to x3", "x3 enters s"]),
    (
        "the number counts, not a clock that was set back",
        [place(2), place(3, arrived_at=START - timedelta(hours=1))],
        {},
        ["x2 gives way to x3", "x3 enters s"],
    ),
    ("one that is busy elsewhere is never superseded, and goes first", [place(2, idle=False), place(3)], {}, ["x2 enters s"]),
    ("queued: first in, first out", [place(3, mode=Q), place(2, mode=Q)], {}, ["x2 enters s"]),
    ("queued: nobody overtakes", [place(1, mode=Q, held=True, idle=False), place(2, mode=Q), place(3, mode=Q)], {}, []),
    ("parallel: all", [place(1, mode=P, held=True), place(2, mode=P), place(3, mode=P)], {}, ["x2 enters s", "x3 enters s"]),
    ("parallel: but one for a lock", [place(2, mode=P, lock="l"), place(3, mode=P, lock="l")], {}, ["x2 enters s"]),
    (
        "a lock holds across pipelines",
        [place(1, lock="l", held=True, idle=False), place(2, lock="l", pipeline=PipelineName("docs"), stage=StageName("t"))],
        {},
        [],
    ),
    (
        "and goes by arrival",
        [place(9, lock="l"), place(2, lock="l", pipeline=PipelineName("docs"), arrived_at=START + timedelta(hours=1))],
        {},
        ["x9 enters s"],
    ),
    ("a lock that a commit dropped does not open the stage", [place(1, lock="l", held=True, idle=False), place(2)], {}, []),
    ("a disabled transition holds back", [place(1)], {"closed": {("release", "s")}}, []),
    ("and still lets the newest win", [place(1), place(2)], {"closed": {("release", "s")}}, ["x1 gives way to x2"]),
    ("but not a rollback", [place(1), place(2, rollback=True)], {"closed": {("release", "s")}}, ["x2 enters s"]),
    ("a rollback goes first and supersedes only rollbacks", [place(1), place(2, rollback=True)], {}, ["x2 enters s"]),
    ("and nobody else supersedes it", [place(1, rollback=True), place(2)], {}, ["x1 enters s"]),
    (
        "a newer rollback does",
        [place(1, rollback=True), place(2, rollback=True)],
        {},
        ["x1 gives way to x2", "x2 enters s"],
    ),
    ("an older commit never follows a newer one", [place(1)], {"outdated": {("x1", "s")}}, ["x1 gives way to the past"]),
    ("nor blocks who comes after", [place(1, mode=Q), place(2, mode=Q)], {"outdated": {("x1", "s")}}, PAST),
    ("a rollback may be older", [place(1, rollback=True)], {"outdated": {("x1", "s")}}, ["x1 enters s"]),
    (
        "who only waits for people gives way to a newer one",
        [place(1, held=True, idle=False, patient=True), place(2)],
        {},
        ["x1 gives way to x2"],
    ),
    (
        "not to one that could not enter",
        [place(1, held=True, idle=False, patient=True), place(2)],
        {"closed": {("release", "s")}},
        [],
    ),
    (
        "and then enters nothing else",
        [
            place(1, held=True, idle=False, patient=True),
            place(1, stage=StageName("t"), idle=False),
            place(2),
        ],
        {},
        ["x1 gives way to x2"],
    ),
    ("nor to an older one", [place(3, held=True, idle=False, patient=True), place(2)], {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("places", "fields", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_admission(places: list[Place], fields: dict, expected: list[str]):
    assert said(*places, **fields) == expected
    assert sorted(said(*reversed(places), **fields)) == sorted(expected), "the order of asking does not matter"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.SUPERSEDED, ["Succeeded", "Superseded", "Superseded", "Succeeded"]),
        (Mode.QUEUED, ["Succeeded"] * 4),
        (Mode.PARALLEL, ["Succeeded"] * 4),
    ],
)
def test_four_pushes_while_the_first_runs(mode: Mode, expected: list[str]):
    world = World()
    made = plan(stage("build", "a"), stage("deploy", "b"), mode=mode)
    for _ in range(4):
        world.push(made)
    assert len(world.working) == (4 if mode is Mode.PARALLEL else 1)
    end_all(world)
    assert statuses(world) == expected


def test_a_superseded_execution_says_by_which():
    world = World()
    made = plan(stage("build", "a"))
    players = [world.push(made) for _ in range(3)]
    assert players[1].state.message == "superseded by release #3"


def test_an_approval_holds_its_stage():
    world = World()
    made = plan(stage("sign-off", approval("ok")), mode=Mode.QUEUED)
    first, second = world.push(made), world.push(made)
    assert second.at("sign-off").is_waiting
    world.answer(first, "sign-off")
    assert second.at("sign-off").is_held


def gate(*actions, **fields) -> PlannedStage:
    return stage("gate", approval("ok"), *actions, supersede_approvals=True, **fields)


def test_a_newer_execution_takes_the_place_of_a_waiting_approval():
    world = World()
    made = plan(stage("build", "a"), gate(), stage("deploy", "b"))
    first = world.push(made)
    world.end(first, "build", "a")
    second = world.push(made)
    assert first.at("gate").is_held, "nothing newer has arrived there yet"
    world.end(second, "build", "a")
    assert (first.state.status, first.at("gate").status) == (Status.SUPERSEDED, Status.CANCELLED)
    assert first.action("gate", "ok").status is Status.ABANDONED
    assert second.at("gate").is_held


def test_not_while_anything_else_runs_beside_the_approval():
    world = World()
    made = plan(gate("test"))
    first, second = world.push(made), world.push(made)
    assert (first.at("gate").is_held, second.at("gate").is_waiting) == (True, True)
    world.end(first, "gate", "test")
    assert (first.state.status, second.at("gate").is_held) == (Status.SUPERSEDED, True)


def test_nor_while_a_rule_of_the_stage_is_still_evaluated():
    """Such as one of the condition whose other rule has let the stage be retried: its answer must find the execution going on."""
    world = World()
    first = world.push(plan(gate()))
    pending = replace(first.at("gate"), gates={Gate.ON_FAILURE: GateState(started=frozenset({0}))})
    for state, patient in ((first.state, True), (replace(first.state, stages={"gate": pending}), False)):
        [where] = places(first.execution, first.plan, state, START)
        assert where.patient is patient


def test_a_failed_stage_is_free_and_a_retry_of_the_older_one_is_refused():
    world = World()
    made = plan(stage("s", "a"))
    first, second = world.push(made), world.push(made)
    world.end(first, "s", "a", BROKEN)
    assert started(second) == ["s/a#1"]
    with pytest.raises(RefusedError, match="release #2 has come"):
        world.retry(first, "s")


def test_an_execution_that_is_stopped_while_it_waits_leaves_the_slot():
    world = World()
    made = plan(stage("s", "a"), mode=Mode.QUEUED)
    first, second, third = (world.push(made) for _ in range(3))
    world.stop(second)
    world.end(first, "s", "a")
    assert (second.state.status, third.at("s").is_held) == (Status.STOPPED, True)


def test_a_thousand_waiting_executions_are_judged_together():
    places = [place(number, mode=Mode.QUEUED, stage=StageName(f"s{number % 5}")) for number in range(1000)]
    assert said(*places) == ["x0 enters s0", "x1 enters s1", "x2 enters s2", "x3 enters s3", "x4 enters s4"]
