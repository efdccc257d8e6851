"""One execution, told as stories: what starts, in which order, and how it ends."""

from datetime import timedelta

import pytest

from agent.execution.commands import CancelAction, PrepareAction
from agent.execution.decide import decide, wake_at
from agent.execution.events import Gate
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import (
    ArtifactInput,
    Cache,
    Condition,
    OnFailure,
    Retries,
    RetryMode,
    Rule,
    Run,
    Service,
    When,
)
from tests.support.playing import (
    BROKEN,
    CANCELLED,
    OK,
    START,
    World,
    action,
    approval,
    end_all,
    one,
    plan,
    stage,
    started,
)


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
    end_all(world, unit=outcome)
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
    end_all(world, a=BROKEN)
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
    end_all(world, b=BROKEN, d=BROKEN)
    before = len(started(player))
    world.retry(player, "s", mode)
    end_all(world)
    assert set(started(player)[before:]) == again | {"s/d#2"}
    assert player.state.status is Status.SUCCEEDED


def test_failed_actions_can_be_retried_while_others_run():
    world = World()
    player = one(world, "a", "b")
    world.end(player, "s", "a", BROKEN)
    world.retry(player, "s")
    assert started(player) == ["s/a#1", "s/b#1", "s/a#2"]
    end_all(world)
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
    end_all(world)
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


def test_a_retry_that_never_began_leaves_its_stage_stopped_and_its_attempts_counted():
    world = World()
    player = one(world, "a", "b")
    world.end(player, "s", "a", BROKEN)
    world.end(player, "s", "b")
    world.close("release", "s")
    world.retry(player, "s", RetryMode.ALL_ACTIONS)
    assert player.at("s").is_waiting
    world.stop(player)
    assert (player.state.status, player.at("s").status) == (Status.STOPPED, Status.STOPPED)
    assert player.action("s", "b").outcome == OK, "what the attempt before did stays in the record"
    world.open("release", "s")
    world.retry(player, "s", RetryMode.ALL_ACTIONS)
    end_all(world)
    assert started(player) == ["s/a#1", "s/b#1", "s/a#2", "s/b#2"]
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


def advised(player, world) -> list[str]:
    commands = decide(player.plan, player.state, world.now)
    return [f"{command.stage}/{command.action}#{command.attempt}" for command in commands if isinstance(command, PrepareAction)]


def test_the_first_scripts_of_the_next_stage_are_prepared_once_all_of_this_one_runs():
    world = World()
    next_up = stage("next", *[f"n{index}" for index in range(5)])
    player = world.push(plan(stage("first", "a", action("b", needs=("a",))), next_up, stage("last", "z")))
    assert advised(player, world) == ["first/b#1"]
    world.end(player, "first", "a")
    assert advised(player, world) == ["next/n0#1", "next/n1#1", "next/n2#1"]
    world.end(player, "first", "b")
    assert advised(player, world) == ["last/z#1"]


RULE = Condition(rules=(Rule(provider="command", options={"run": "true"}),))
SERVED = Run(script="x", services=(Service(name="db", image="db"),))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([action("a")], stage("next", action("n", secrets={"TOKEN": ""}))),
        ([action("a")], stage("next", action("n", cache=Cache(paths=("node_modules",))))),
        ([action("a")], stage("next", action("n", inputs=(ArtifactInput(name="dist"),)))),
        ([action("a")], stage("next", action("n", work=SERVED))),
        ([action("a")], stage("next", approval("n"))),
        ([action("a")], stage("next", action("n", when=When.ALWAYS))),
        ([action("a")], stage("next", "n", before_entry=RULE)),
        ([action("a", namespace="a")], stage("next", action("n", work=Run(script="x", image="x:${{ a.version }}")))),
        ([action("a"), approval("people")], stage("next", "n")),
    ],
    ids=["secrets", "cache", "inputs", "services", "approval", "clean-up", "condition", "looks up", "people are asked"],
)
def test_what_of_the_next_stage_is_not_prepared(first, second):
    world = World()
    player = world.push(plan(stage("first", *first), second))
    assert advised(player, world) == []


def test_nothing_is_prepared_for_a_stage_behind_one_that_is_judged_first_or_has_failed():
    world = World()
    judged = world.push(plan(stage("first", "a", on_success=RULE), stage("next", "n")))
    failing = world.push(plan(stage("first", "a", "b"), stage("next", "n"), pipeline="other"))
    assert advised(failing, world) == ["next/n#1"]
    world.end(failing, "first", "a", BROKEN)
    assert (advised(judged, world), advised(failing, world)) == ([], [])


def test_a_clock_set_back_that_allows_a_retry_again_withdraws_the_rules_that_are_evaluated():
    world = World()
    policy = OnFailure(retry=1, rollback=True, condition=RULE)
    player = world.push(plan(stage("deploy", "a", on_failure=policy), timeout=timedelta(minutes=2)))
    world.wait(timedelta(minutes=3))
    world.end(player, "deploy", "a", CANCELLED)
    assert [gate for _, _, gate, _ in world.asking] == [Gate.ON_FAILURE]
    world.wait(timedelta(minutes=-10))
    assert (started(player), world.asking) == (["deploy/a#1", "deploy/a#2"], set())
    world.end(player, "deploy", "a")
    assert player.state.status is Status.SUCCEEDED


def test_fifty_by_fifty_is_decided_quickly_enough_to_be_forgotten():
    world = World()
    player = world.push(plan(*[stage(f"s{i}", *[f"a{j}" for j in range(50)]) for i in range(50)]))
    end_all(world)
    assert (player.state.status, len(started(player))) == (Status.SUCCEEDED, 2500)
