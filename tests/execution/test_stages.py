"""Conditions, overrides, rollbacks: what a stage does before its actions and after them."""

from datetime import timedelta

import pytest

from agent.execution.events import Gate, RollbackStarted, RuleEnded, StageRetried
from agent.model.execution import TriggerType
from agent.model.outcome import Status
from agent.model.plan import (
    Condition,
    ConditionResult,
    Mode,
    OnFailure,
    Rule,
)
from tests.support.playing import (
    BROKEN,
    START,
    Player,
    World,
    end_all,
    one,
    plan,
    stage,
    started,
)

RULE = Rule(provider="x", name="calm")


def condition(result: ConditionResult = ConditionResult.FAIL, count: int = 1) -> Condition:
    return Condition(rules=(RULE,) * count, result=result)


GATES = [
    # result, statuses of the rules, errored -> stage, execution
    (ConditionResult.FAIL, (Status.SUCCEEDED, Status.SUCCEEDED), False, Status.SUCCEEDED, Status.SUCCEEDED),
    (ConditionResult.FAIL, (Status.FAILED,), False, Status.FAILED, Status.FAILED),
    (ConditionResult.SKIP, (Status.FAILED,), False, Status.SKIPPED, Status.SUCCEEDED),
    (ConditionResult.SKIP, (Status.SUCCEEDED, Status.FAILED), False, Status.SKIPPED, Status.SUCCEEDED),
    (ConditionResult.SKIP, (Status.FAILED,), True, Status.FAILED, Status.FAILED),  # fail closed
]


@pytest.mark.parametrize(("result", "ends", "errored", "at", "status"), GATES)
def test_before_entry(result: ConditionResult, ends, errored: bool, at: Status, status: Status):
    world = World()
    player = world.push(plan(stage("s", "a", before_entry=condition(result, 2)), stage("t", "b")))
    assert started(player) == []
    for index, end in enumerate(ends):
        world.rule((player.execution.id, "s", Gate.BEFORE_ENTRY, index), end, errored=errored)
    end_all(world)
    assert (player.at("s").status, player.state.status) == (at, status)
    assert world.asking == set(), "the other rule was abandoned"


def test_a_rule_that_never_answers_fails_at_its_deadline_though_the_worker_was_restarted():
    world = World()
    player = one(world, "a", before_entry=Condition(rules=(Rule(provider="window", timeout=timedelta(hours=2)),)))
    assert world.wake_at() == START + timedelta(hours=2)
    world.wait(timedelta(hours=1))
    world.crash()
    assert world.wake_at() == START + timedelta(hours=2)
    world.wait(timedelta(hours=1))
    assert (player.state.status, player.at("s").status) == (Status.FAILED, Status.FAILED)


def test_an_overridden_entry_condition_resumes_the_stage():
    world = World()
    player = one(world, "a", before_entry=condition())
    world.rule((player.execution.id, "s", Gate.BEFORE_ENTRY, 0), Status.FAILED)
    assert player.state.status is Status.FAILED
    world.override(player, "s")
    assert (player.state.status, started(player)) == (Status.IN_PROGRESS, ["s/a#1"])
    end_all(world)
    assert player.state.status is Status.SUCCEEDED


def test_a_pending_condition_can_be_overridden():
    world = World()
    player = one(world, "a", before_entry=condition())
    world.override(player, "s")
    assert (started(player), world.asking) == (["s/a#1"], set())


def test_an_overridden_success_condition_lets_the_stage_pass_without_running_anything_again():
    world = World()
    player = world.push(plan(stage("s", "a", on_success=condition()), stage("t", "b")))
    world.end(player, "s", "a")
    world.rule((player.execution.id, "s", Gate.ON_SUCCESS, 0), Status.FAILED)
    assert player.state.status is Status.FAILED
    world.override(player, "s")
    assert started(player) == ["s/a#1", "t/b#1"]


def rolled_back(world: World, **fields) -> tuple[Player, Player, list[Player]]:
    made = plan(stage("build", "x"), stage("s", "a", **fields))
    first = world.push(made)
    end_all(world)
    while world.asking:
        world.rule(next(iter(world.asking)), Status.SUCCEEDED)
    second = world.push(made)
    world.end(second, "build", "x")
    world.end(second, "s", "a", BROKEN)
    return first, second, list(world.players.values())[2:]


def test_rollback_on_failure_runs_only_the_stage_and_is_never_rolled_back():
    world = World()
    first, second, (back,) = rolled_back(world, on_failure=OnFailure(rollback=True))
    assert second.state.status is Status.FAILED
    assert back.execution.rollback is not None
    assert (back.execution.rollback.target, back.execution.trigger) == (first.execution.id, TriggerType.ROLLBACK)
    assert started(back) == ["s/a#1"]
    world.end(back, "s", "a", BROKEN)
    assert (back.state.status, len(world.players)) == (Status.FAILED, 3)


def test_a_rollback_condition_engages_only_when_all_its_rules_succeed():
    for status, count in ((Status.SUCCEEDED, 1), (Status.FAILED, 0)):
        world = World()
        failing = OnFailure(rollback=True, condition=condition(ConditionResult.ROLLBACK))
        _, second, _ = rolled_back(world, on_failure=failing)
        assert second.state.status is Status.IN_PROGRESS
        world.rule((second.execution.id, "s", Gate.ON_FAILURE, 0), status)
        assert (second.state.status, len(world.players) - 2) == (Status.FAILED, count)


def test_an_overridden_failure_condition_just_fails():
    world = World()
    failing = OnFailure(rollback=True, condition=condition(ConditionResult.ROLLBACK))
    _, second, _ = rolled_back(world, on_failure=failing)
    world.override(second, "s")
    assert (second.state.status, len(world.players)) == (Status.FAILED, 2)


def test_retry_comes_before_rollback():
    world = World()
    _, second, back = rolled_back(world, on_failure=OnFailure(retry=1, rollback=True))
    assert (started(second)[-1], back) == ("s/a#2", [])
    world.end(second, "s", "a", BROKEN)
    assert [event.automatic for event in second.events() if isinstance(event, StageRetried)] == [True]
    assert len(world.players) == 3


def test_a_failed_success_condition_rolls_back():
    world = World()
    made = plan(stage("s", "a", on_success=condition(ConditionResult.ROLLBACK)))
    for status in (Status.SUCCEEDED, Status.FAILED):
        player = world.push(made)
        world.end(player, "s", "a")
        world.rule((player.execution.id, "s", Gate.ON_SUCCESS, 0), status)
    assert [p.execution.rollback is not None for p in world.players.values()] == [False, False, True]


def test_a_rollback_without_a_former_success_says_so_and_fails():
    world = World()
    player = one(world, "a", on_failure=OnFailure(rollback=True))
    world.end(player, "s", "a", BROKEN)
    assert [event.execution for event in player.events() if isinstance(event, RollbackStarted)] == [""]
    assert player.state.status is Status.FAILED


def test_parallel_mode_has_no_rollback():
    world = World()
    player = world.push(plan(stage("s", "a", on_failure=OnFailure(rollback=True)), mode=Mode.PARALLEL))
    world.end(player, "s", "a", BROKEN)
    assert (player.state.status, len(world.players)) == (Status.FAILED, 1)


def test_stop_abandons_rules_that_are_being_evaluated():
    world = World()
    player = one(world, "a", before_entry=condition())
    world.stop(player)
    ends = [event.status for event in player.events() if isinstance(event, RuleEnded)]
    assert (ends, player.state.status) == ([Status.ABANDONED], Status.STOPPED)
