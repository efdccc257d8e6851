"""One execution, told as stories: what starts, in which order, and how it ends."""

from datetime import timedelta

import pytest

from agent.execution.commands import CancelAction, PrepareAction
from agent.execution.decide import decide, wake_at
from agent.execution.events import Gate, RollbackStarted, RuleEnded, StageRetried
from agent.model.execution import TriggerType
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import (
    ArtifactInput,
    Condition,
    ConditionResult,
    Mode,
    OnFailure,
    Retries,
    RetryMode,
    Rule,
    Run,
    When,
)
from tests.support.playing import BROKEN, CANCELLED, OK, START, Player, World, action, approval, plan, stage, started

RULE = Rule(provider="x", name="calm")


def condition(result: ConditionResult = ConditionResult.FAIL, count: int = 1) -> Condition:
    return Condition(rules=(RULE,) * count, result=result)


def play(world: World, player: Player, **ends: Outcome) -> None:
    """End running work by the action's name until nothing runs; OK where nothing is said."""
    while world.working:
        work = next(iter(world.working))
        world.finish(work, CANCELLED if world.working[work] else ends.get(work[2], OK))


def one(world: World, *actions, **fields) -> Player:
    return world.push(plan(stage("s", *actions, **fields)))


def test_stages_follow_each_other_and_actions_run_side_by_side():
    world = World()
    player = world.push(plan(stage("build", "a", "b"), stage("deploy", "c")))
    assert started(player) == ["build/a#1", "build/b#1"]
    world.end(player, "build", "a")
    assert "deploy" not in player.state.stages
    world.end(player, "build", "b")
    assert started(player)[2:] == ["deploy/c#1"]
    world.end(player, "deploy", "c")
    assert player.state.status is Status.SUCCEEDED


def test_an_empty_plan_succeeds():
    world = World()
    assert world.push(plan()).state.status is Status.SUCCEEDED


def test_a_failed_stage_lets_independent_branches_finish_and_its_dependants_never_start():
    world = World()
    player = world.push(
        plan(
            stage("base", "a"),
            stage("left", "l", needs=("base",)),
            stage("right", "r", needs=("base",)),
            stage("end", "e", needs=("left", "right")),
        )
    )
    world.end(player, "base", "a")
    world.end(player, "left", "l", BROKEN)
    assert player.state.status is Status.IN_PROGRESS
    world.end(player, "right", "r")
    assert (player.state.status, player.state.message) == (Status.FAILED, "left: l: exit code 1")
    assert "end" not in player.state.stages
    world.retry(player, "left")
    world.end(player, "left", "l")
    world.end(player, "end", "e")
    assert player.state.status is Status.SUCCEEDED


CLEANUP = [
    # how `unit` ends, then what starts after it
    (OK, ["always", "plain"], Status.SUCCEEDED),
    (BROKEN, ["always", "failure", "notify"], Status.FAILED),
]


@pytest.mark.parametrize(("outcome", "then", "status"), CLEANUP)
def test_when_decides_what_follows(outcome: Outcome, then: list[str], status: Status):
    world = World()
    player = one(
        world,
        "unit",
        action("plain", needs=("unit",)),
        action("failure", needs=("unit",), when=When.FAILURE),
        action("notify", when=When.FAILURE),  # no needs: after all others, whatever failed
        action("always", needs=("plain",), when=When.ALWAYS),
    )
    play(world, player, unit=outcome)
    assert sorted(name.split("/")[1].split("#")[0] for name in started(player)) == sorted(["unit", *then])
    assert player.at("s").status is status


def test_clean_up_without_needs_comes_last_and_sees_a_failure_far_away():
    world = World()
    player = one(
        world, "a", action("b", needs=("a",)), action("c", needs=("b",), when=When.FAILURE), action("z", when=When.ALWAYS)
    )
    world.end(player, "s", "a", BROKEN)
    assert started(player) == ["s/a#1", "s/c#1", "s/z#1"]


def test_continue_on_error_lets_dependants_run_and_the_stage_succeed():
    world = World()
    player = one(world, action("a", continue_on_error=True), action("b", needs=("a",)), action("f", when=When.FAILURE))
    play(world, player, a=BROKEN)
    assert (started(player), player.state.status) == (["s/a#1", "s/b#1"], Status.SUCCEEDED)


def test_without_fail_fast_the_others_run_to_their_end():
    world = World()
    player = one(world, "a", "b", action("c", needs=("b",)))
    world.end(player, "s", "a", BROKEN)
    world.end(player, "s", "b")
    world.end(player, "s", "c")
    assert (player.state.status, player.action("s", "c").status) == (Status.FAILED, Status.SUCCEEDED)


def test_fail_fast_cancels_siblings_and_approvals_but_not_clean_up():
    world = World()
    player = one(world, "a", "b", approval("ok"), action("c", needs=("b",)), action("z", when=When.ALWAYS), fail_fast=True)
    world.end(player, "s", "a", BROKEN)
    assert [work[2] for work, cancelled in world.working.items() if cancelled] == ["b"]
    assert player.action("s", "ok").status is Status.ABANDONED
    world.end(player, "s", "b", CANCELLED)
    assert started(player)[3:] == ["s/z#1"]
    world.end(player, "s", "z")
    assert player.state.status is Status.FAILED


def test_automatic_retries_back_off_and_then_give_up():
    world = World()
    retries = Retries(count=3, delay=timedelta(seconds=10), factor=3.0, max_delay=timedelta(seconds=40))
    player = one(world, action("a", retries=retries))
    for attempt, wait in ((1, 10), (2, 30), (3, 40)):
        world.end(player, "s", "a", BROKEN)
        assert wake_at(player.plan, player.state, world.now) == world.now + timedelta(seconds=wait)
        world.wait(timedelta(seconds=wait - 1))
        assert len(started(player)) == attempt
        world.wait(timedelta(seconds=1))
    world.end(player, "s", "a", BROKEN)
    assert (player.state.status, len(player.action("s", "a").former)) == (Status.FAILED, 3)
    world.retry(player, "s")
    world.end(player, "s", "a", BROKEN)
    assert player.state.status is Status.IN_PROGRESS, "a retry by a person has all automatic ones again"


@pytest.mark.parametrize("reason", [Reason.STOPPED, Reason.POLICY, Reason.VARIABLE])
def test_what_cannot_end_otherwise_is_not_retried(reason: Reason):
    world = World()
    player = one(world, action("a", retries=Retries(count=5)))
    world.end(player, "s", "a", Outcome(status=Status.FAILED, reason=reason))
    assert player.state.status is Status.FAILED


ANSWERS = [
    ([("alice", True), ("bob", True)], Status.SUCCEEDED, None),
    ([("alice", False)], Status.FAILED, Reason.REJECTED),
    ([("alice", True), ("bob", False)], Status.FAILED, Reason.REJECTED),
    ([("alice", True), ("alice", False)], Status.FAILED, Reason.REJECTED),
]


@pytest.mark.parametrize(("answers", "status", "reason"), ANSWERS)
def test_an_approval_ends_by_its_answers(answers, status: Status, reason: Reason | None):
    world = World()
    player = one(world, approval("ok", count=2))
    for person, approved in answers:
        world.answer(player, "s", person, approved=approved)
    outcome = player.action("s", "ok").outcome
    assert outcome is not None
    assert (player.state.status, outcome.reason) == (status, reason)


def test_an_approval_expires_and_a_retry_asks_again():
    world = World()
    player = one(world, approval("ok"), action("deploy", needs=("ok",)))
    assert world.wake_at() == START + timedelta(days=7)
    world.wait(timedelta(days=7))
    outcome = player.action("s", "ok").outcome
    assert outcome is not None
    assert (player.state.status, outcome.reason) == (Status.FAILED, Reason.EXPIRED)
    world.retry(player, "s")
    world.answer(player, "s")
    world.end(player, "s", "deploy")
    assert player.state.status is Status.SUCCEEDED


def test_a_retry_does_not_jump_the_gate():
    world = World()
    player = one(world, approval("ok"), action("deploy", needs=("ok",)))
    world.answer(player, "s")
    world.end(player, "s", "deploy", BROKEN)
    world.retry(player, "s")
    assert (started(player)[-1], world.working) == ("s/ok#2", {})
    world.answer(player, "s")
    assert started(player)[-1] == "s/deploy#2"


def test_an_automatic_retry_keeps_the_approval_and_the_stage():
    world = World()
    player = one(world, approval("ok"), action("deploy", needs=("ok",)), on_failure=OnFailure(retry=1))
    world.answer(player, "s")
    world.end(player, "s", "deploy", BROKEN)
    assert started(player) == ["s/ok#1", "s/deploy#1", "s/deploy#2"]
    world.end(player, "s", "deploy", BROKEN)
    assert (player.state.status, player.at("s").attempt) == (Status.FAILED, 2)


def test_a_rejection_is_not_retried_by_itself():
    world = World()
    player = one(world, approval("ok"), on_failure=OnFailure(retry=3))
    world.answer(player, "s", approved=False)
    assert player.state.status is Status.FAILED


@pytest.mark.parametrize(
    ("mode", "again"),
    [(RetryMode.FAILED_ACTIONS, {"s/b#2", "s/c#2", "s/z#2"}), (RetryMode.ALL_ACTIONS, {"s/a#2", "s/b#2", "s/c#2", "s/z#2"})],
)
def test_retry_runs_the_failed_actions_what_needs_them_and_clean_up(mode: RetryMode, again: set[str]):
    world = World()
    player = one(world, "a", action("b", continue_on_error=True), action("c", needs=("b",)), "d", action("z", when=When.ALWAYS))
    play(world, player, b=BROKEN, d=BROKEN)
    before = len(started(player))
    world.retry(player, "s", mode)
    play(world, player)
    assert set(started(player)[before:]) == again | {"s/d#2"}
    assert player.state.status is Status.SUCCEEDED


def test_failed_actions_can_be_retried_while_others_run():
    world = World()
    player = one(world, "a", "b")
    world.end(player, "s", "a", BROKEN)
    world.retry(player, "s")
    assert started(player) == ["s/a#1", "s/b#1", "s/a#2"]
    play(world, player)
    assert player.state.status is Status.SUCCEEDED


def test_stop_and_wait_lets_running_actions_finish():
    world = World()
    player = world.push(plan(stage("s", "a", approval("ok"), action("b", needs=("a",))), stage("t", "c")))
    world.stop(player)
    assert player.state.status is Status.STOPPING
    assert not world.working[next(iter(world.working))]
    world.end(player, "s", "a")
    assert (player.state.status, player.at("s").status) == (Status.STOPPED, Status.STOPPED)
    world.retry(player, "s")
    assert started(player) == ["s/a#1", "s/ok#1", "s/ok#2", "s/b#1"]
    world.answer(player, "s")
    play(world, player)
    assert player.state.status is Status.SUCCEEDED
    assert started(player)[4:] == ["t/c#1"]


def test_stop_can_be_upgraded_to_abandon():
    world = World()
    player = one(world, "a")
    world.stop(player)
    world.stop(player, abandon=True)
    assert list(world.working.values()) == [True]
    world.end(player, "s", "a", CANCELLED)
    assert player.state.status is Status.STOPPED


def test_stop_before_the_first_stage():
    world = World()
    world.close("release", "s")
    player = one(world, "a")
    world.stop(player)
    assert (player.state.status, player.state.stages) == (Status.STOPPED, {})


def test_a_stage_timeout_cancels_cleans_up_and_fails():
    world = World()
    player = one(world, "a", action("b", needs=("a",)), action("z", when=When.ALWAYS), timeout=timedelta(minutes=10))
    world.wait(timedelta(minutes=10))
    assert list(world.working.values()) == [True]
    world.end(player, "s", "a", CANCELLED)
    assert started(player) == ["s/a#1", "s/z#1"]
    world.end(player, "s", "z")
    assert player.state.status is Status.FAILED


def test_a_stage_timeout_between_two_actions_fails_though_nothing_failed():
    world = World(places=1)
    player = one(world, "a", "b", action("z", when=When.FAILURE), timeout=timedelta(minutes=10))
    world.now += timedelta(minutes=10)  # before the worker looks again
    world.end(player, "s", "a", OK)
    assert started(player) == ["s/a#1", "s/z#1"]
    world.end(player, "s", "z")
    assert (player.state.status, player.at("s").message) == (Status.FAILED, "stage s timed out after 0:10:00")


def test_work_that_ended_in_time_succeeds_however_late_the_worker_looks():
    world = World()
    player = one(world, "a", timeout=timedelta(minutes=10))
    world.now += timedelta(hours=1)
    world.end(player, "s", "a")
    assert player.state.status is Status.SUCCEEDED


def test_an_execution_timeout_counts_from_the_first_stage_and_starts_anew_after_a_retry():
    world = World()
    world.close("release", "s")
    player = world.push(plan(stage("s", "a"), timeout=timedelta(hours=1)))
    world.wait(timedelta(hours=5))
    assert player.state.status is Status.IN_PROGRESS
    world.open("release", "s")
    world.wait(timedelta(hours=1))
    world.end(player, "s", "a", CANCELLED)
    assert player.state.status is Status.FAILED
    world.retry(player, "s")
    world.end(player, "s", "a")
    assert player.state.status is Status.SUCCEEDED


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
    play(world, player)
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
    play(world, player)
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
    play(world, first)
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


def test_cancel_is_repeated_until_the_attempt_has_ended():
    world = World()
    player = one(world, "a")
    world.stop(player, abandon=True)
    for _ in range(2):
        commands = decide(player.plan, player.state, world.now)
        assert [type(command) for command in commands] == [CancelAction]


def test_prepare_is_advice_for_at_most_three_that_depend_on_nothing_to_come():
    world = World()
    looks_up = Run(script="x", image="x:${{ a.version }}")
    player = one(
        world,
        action("a", namespace="a"),
        action("refers", needs=("a",), work=looks_up),
        action("unpacks", needs=("a",), inputs=(ArtifactInput(name="dist"),)),
        *[action(f"p{index}", needs=("a",)) for index in range(5)],
        action("far", needs=("p0",)),
    )
    advice = [command for command in decide(player.plan, player.state, world.now) if isinstance(command, PrepareAction)]
    assert [command.action for command in advice] == ["p0", "p1", "p2"]


def test_fifty_by_fifty_is_decided_quickly_enough_to_be_forgotten():
    world = World()
    player = world.push(plan(*[stage(f"s{i}", *[f"a{j}" for j in range(50)]) for i in range(50)]))
    play(world, player)
    assert (player.state.status, len(started(player))) == (Status.SUCCEEDED, 2500)
