"""What people may ask, and the words in which the rest is refused."""

from collections.abc import Callable

import pytest

from agent.errors import RefusedError
from agent.execution import control
from agent.execution.control import Voter
from agent.execution.events import Gate
from agent.model.ids import StageName
from agent.model.outcome import Status
from agent.model.plan import Condition, ConditionResult, Mode, RetryMode, Rule
from tests.support.playing import BROKEN, ROLES, Player, World, approval, plan, stage

S = StageName("s")


def running(world: World) -> Player:
    return world.push(plan(stage("s", "a", "b")))


def failed(world: World) -> Player:
    player = world.push(plan(stage("s", "a")))
    world.end(player, "s", "a", BROKEN)
    return player


def succeeded(world: World) -> Player:
    player = world.push(plan(stage("s", "a")))
    world.end(player, "s", "a")
    return player


def asking(world: World, **fields) -> Player:
    return world.push(plan(stage("s", approval("ok", count=2), approval("also", count=1), **fields)))


def skipped(world: World) -> Player:
    condition = Condition(rules=(Rule(provider="x"),), result=ConditionResult.SKIP)
    player = world.push(plan(stage("s", "a", before_entry=condition)))
    world.rule((player.execution.id, "s", Gate.BEFORE_ENTRY, 0), Status.FAILED)
    return player


def superseded(world: World) -> Player:
    made = plan(stage("s", "a"))
    return [world.push(made) for _ in range(3)][1]


def failed_then_newer(world: World) -> Player:
    player = failed(world)
    world.push(player.plan)
    return player


def answer(world: World, player: Player, person: str = "alice", action: str = "ok", **fields):
    approved, author = fields.get("approved", True), fields.get("author", False)
    voter = Voter(name=person, is_author=author)
    return control.answer(player.plan, player.state, S, action, voter, world.asked(person), ROLES, approved=approved)


def twice(world: World) -> Player:
    player = asking(world)
    world.answer(player, "s", action_name="ok")
    return player


def decided(world: World) -> Player:
    player = asking(world)
    world.answer(player, "s", action_name="also")
    return player


def stopping(world: World) -> Player:
    player = running(world)
    world.stop(player)
    return player


Ask = Callable[[World, Player], object]
REFUSED: list[tuple[str, Callable[[World], Player], Ask, str]] = [
    ("stop what is over", failed, lambda w, p: w.stop(p), "it is over already"),
    ("stop twice", stopping, lambda w, p: w.stop(p), "alice has stopped it already"),
    ("retry what succeeded", succeeded, lambda w, p: w.retry(p, "s"), "stage s is Succeeded"),
    ("retry what was skipped", skipped, lambda w, p: w.retry(p, "s"), "stage s is Skipped"),
    ("retry what runs well", running, lambda w, p: w.retry(p, "s"), "in progress: a, b still run"),
    ("retry while it is stopped", stopping, lambda w, p: w.retry(p, "s"), "being stopped"),
    ("retry an unknown stage", failed, lambda w, p: w.retry(p, "x"), "no stage x"),
    ("retry what is not the latest", failed_then_newer, lambda w, p: w.retry(p, "s"), "release #2 has come to stage s since"),
    ("retry what was superseded", superseded, lambda w, p: w.retry(p, "s"), "has not reached"),
    ("override without a condition", failed, lambda w, p: w.override(p, "s"), "no condition of stage s"),
    ("override a skip", skipped, lambda w, p: w.override(p, "s"), "cannot be overridden"),
    ("approve what is not asked", running, lambda w, p: answer(w, p, action=""), "asks for no approval now"),
    ("approve the unknown", asking, lambda w, p: answer(w, p, action="x"), "no approval x"),
    ("approve one of several", asking, lambda w, p: answer(w, p, action=""), "asks for several"),
    ("approve without a role", asking, lambda w, p: answer(w, p, "mallory"), "mallory has no say"),
    ("reject without a role", asking, lambda w, p: answer(w, p, "mallory", approved=False), "mallory has no say"),
    ("approve twice", twice, answer, "alice has approved already"),
    ("approve what was decided", decided, lambda w, p: answer(w, p, action="also"), "was decided already: approved by alice"),
]


@pytest.mark.parametrize(("make", "ask", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(make: Callable[[World], Player], ask: Ask, words: str):
    world = World()
    player = make(world)
    before = player.state
    with pytest.raises(RefusedError) as refusal:
        ask(world, player)
    assert words in str(refusal.value)
    assert player.state == before


def test_an_author_may_reject_but_not_approve():
    world = World()
    work = approval("ok").work
    guarded = approval("ok")
    made = plan(stage("s", type(guarded)(name=guarded.name, work=type(work)(not_author=True), timeout=guarded.timeout)))
    player = world.push(made)
    with pytest.raises(RefusedError, match="author"):
        answer(world, player, author=True)
    assert answer(world, player, author=True, approved=False).complete


def test_the_deadline_is_the_end_even_if_the_worker_slept():
    world = World()
    player = asking(world)
    world.now = player.action("s", "ok").deadline
    with pytest.raises(RefusedError, match="time to decide ended"):
        answer(world, player)


def test_the_quorum_is_told_by_the_answer():
    world = World()
    player = asking(world)
    assert not answer(world, player).complete
    world.answer(player, "s", action_name="ok")
    assert answer(world, player, "bob").complete


def test_the_only_open_approval_needs_no_name():
    world = World()
    player = decided(world)
    assert answer(world, player, action="").action == "ok"


def test_retry_all_is_refused_while_anything_runs():
    world = World()
    player = running(world)
    world.end(player, "s", "a", BROKEN)
    with pytest.raises(RefusedError, match="in progress"):
        world.retry(player, "s", RetryMode.ALL_ACTIONS)
    world.retry(player, "s")


ROLLBACKS = [
    (succeeded, {"status": Status.SUCCEEDED}, ""),
    (succeeded, {"status": Status.SUCCEEDED, "mode": Mode.PARALLEL}, "parallel mode has no rollback"),
    (succeeded, {"status": Status.FAILED}, "did not succeed in stage s: it is Failed"),
    (succeeded, {"status": None}, "it never got there"),
    (succeeded, {"status": Status.SUCCEEDED, "holder": "release #7"}, "release #7 is in stage s"),
]


@pytest.mark.parametrize(("make", "fields", "words"), ROLLBACKS)
def test_rollback(make: Callable[[World], Player], fields: dict, words: str):
    target = make(World()).execution
    if not words:
        assert control.rollback(target, S, **fields).target_number == 1
        return
    with pytest.raises(RefusedError, match=words):
        control.rollback(target, S, **fields)


def test_a_rollback_is_no_target():
    world = World()
    target = succeeded(world)
    wanted = control.rollback(target.execution, S, Status.SUCCEEDED)
    again = world.push(control.rollback_plan(target.plan, S), wanted)
    with pytest.raises(RefusedError, match="itself a rollback"):
        control.rollback(again.execution, S, Status.SUCCEEDED)


def test_a_rollback_runs_the_one_stage_alone():
    made = plan(stage("build", "a"), stage("s", "b"), stage("t", "c"))
    only = control.rollback_plan(made, S)
    assert ([planned.name for planned in only.stages], only.stages[0].needs, only.rollback) == (["s"], (), True)
