"""Any interleaving of pushes, results, people, time and crashes keeps the promises of the engine.

The default takes a few seconds. 20,000 interleavings of up to 60 steps: `HYPOTHESIS_PROFILE=thorough` before
`pytest tests/execution/test_interleavings.py` (about an hour; `middle` is a tenth of it).
"""

import os
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.errors import RefusedError
from agent.execution import control
from agent.execution.decide import decide, wake_at
from agent.execution.events import ActionEnded, ActionStarting, ExecutionEnded, StageEnded, StageEntered, StageRetried
from agent.execution.fold import fold
from agent.execution.state import StageState
from agent.model.execution import Rollback
from agent.model.outcome import Outcome, Status
from agent.model.plan import Approval, Condition, ConditionResult, Mode, OnFailure, Plan, Retries, RetryMode, Rule, When
from tests.support.playing import BROKEN, CANCELLED, OK, START, Player, World, action, approval, plan, stage

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("small", max_examples=60, stateful_step_count=40, **QUIET)
settings.register_profile("middle", max_examples=2_000, stateful_step_count=60, **QUIET)
settings.register_profile("thorough", max_examples=20_000, stateful_step_count=60, **QUIET)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "small"))

results = st.sampled_from((ConditionResult.FAIL, ConditionResult.SKIP, ConditionResult.ROLLBACK, ConditionResult.RETRY))
conditions = st.none() | st.builds(
    Condition, rules=st.sampled_from(((Rule(provider="x"),), (Rule(provider="x"), Rule(provider="y")))), result=results
)
_NEVER = StageState(arrived_at=START)
spans = st.none() | st.none() | st.sampled_from((timedelta(minutes=2), timedelta(hours=3)))


@st.composite
def actions(draw, index: int, gated: bool):
    name = "abcd"[index]
    needs = tuple(draw(st.lists(st.sampled_from("abcd"[:index]), unique=True, max_size=2))) if index else ()
    needs = needs or ("a",) if gated and index else needs
    if (gated and not index) or draw(st.integers(0, 4)) == 0:
        return approval(name, count=draw(st.integers(1, 2)), needs=needs)
    return action(
        name,
        needs=needs,
        when=draw(st.sampled_from((When.SUCCESS, When.SUCCESS, When.SUCCESS, When.FAILURE, When.ALWAYS))),
        continue_on_error=draw(st.integers(0, 5)) == 0,
        retries=Retries(count=draw(st.sampled_from((0, 0, 1, 2)))),
    )


@st.composite
def stages(draw, index: int, dag: bool):
    name = f"s{index}"
    before = [f"s{i}" for i in range(index)]
    needs = tuple(draw(st.lists(st.sampled_from(before), unique=True, min_size=1, max_size=1))) if before and dag else ()
    gated = draw(st.integers(0, 3)) == 0  # people are asked before anything else
    return stage(
        name,
        *[draw(actions(i, gated)) for i in range(draw(st.integers(1, 4)))],
        needs=needs,
        lock=draw(st.sampled_from(("", "", "", "production"))),
        supersede_approvals=draw(st.booleans()),
        fail_fast=draw(st.booleans()),
        timeout=draw(spans),
        before_entry=draw(conditions),
        on_success=draw(conditions),
        on_failure=OnFailure(
            retry=draw(st.sampled_from((0, 0, 1, 2))),
            retry_mode=draw(st.sampled_from(tuple(RetryMode))),
            rollback=draw(st.booleans()),
            condition=draw(conditions),
        ),
    )


@st.composite
def plans(draw):
    dag = draw(st.booleans())
    made = [draw(stages(i, dag)) for i in range(draw(st.integers(1, 4)))]
    pipeline = draw(st.sampled_from(("release", "release", "docs")))
    mode = draw(st.sampled_from((Mode.SUPERSEDED, Mode.SUPERSEDED, Mode.QUEUED, Mode.PARALLEL)))
    return plan(*made, pipeline=pipeline, mode=mode, timeout=draw(spans))


class Repository(RuleBasedStateMachine):
    """Everything that can happen to a repository, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(places=3)

    def pick(self, data, found: list):
        return data.draw(st.sampled_from(found))

    @property
    def players(self) -> list[Player]:
        return list(self.world.players.values())

    @precondition(lambda self: len(self.world.players) < 8)
    @rule(made=plans())
    def push(self, made: Plan) -> None:
        self.world.push(made)

    @precondition(lambda self: 0 < len(self.world.players) < 8)
    @rule(data=st.data())
    def push_again(self, data) -> None:
        self.world.push(self.pick(data, [p for p in self.players if not p.plan.rollback]).plan)

    @precondition(lambda self: self.world.working)
    @rule(data=st.data())
    def work_ends(self, data) -> None:
        work = self.pick(data, sorted(self.world.working))
        outcome = self.pick(data, [OK, OK, BROKEN] + ([CANCELLED] if self.world.working[work] else []))
        self.world.finish(work, outcome)

    @precondition(lambda self: self.world.working)
    @rule(outcome=st.sampled_from((OK, BROKEN)))
    def all_work_ends(self, outcome: Outcome) -> None:
        for work in sorted(self.world.working):
            self.world.finish(work, outcome)

    @precondition(lambda self: self.world.asking)
    @rule(data=st.data(), status=st.sampled_from((Status.SUCCEEDED, Status.FAILED)), errored=st.booleans())
    def rule_ends(self, data, status: Status, errored: bool) -> None:
        self.world.rule(self.pick(data, sorted(self.world.asking)), status, errored=errored and status is Status.FAILED)

    @precondition(lambda self: self.world.waiting_for_people())
    @rule(data=st.data(), person=st.sampled_from(("alice", "bob", "mallory")), approved=st.sampled_from((True, True, False)))
    def somebody_answers(self, data, person: str, approved: bool) -> None:
        index = self.pick(data, list(range(len(self.world.waiting_for_people()))))
        player, name, action_name = self.world.waiting_for_people()[index]
        self._try(lambda: self.world.answer(player, name, person, approved=approved, action_name=action_name))

    @precondition(lambda self: self.world.waiting_for_people())
    @rule()
    def everybody_agrees(self) -> None:
        for player, name, action_name in self.world.waiting_for_people():
            for person in ("alice", "bob"):
                self._try(lambda: self.world.answer(player, name, person, action_name=action_name))  # noqa: B023

    @precondition(lambda self: self.world.players)
    @rule(data=st.data(), abandon=st.booleans())
    def stop(self, data, abandon: bool) -> None:
        player = self.pick(data, self.players)
        self._try(lambda: self.world.stop(player, abandon=abandon))

    @precondition(lambda self: self.world.players)
    @rule(data=st.data(), mode=st.sampled_from(tuple(RetryMode)))
    def retry(self, data, mode: RetryMode) -> None:
        everywhere = [(player, planned.name) for player in self.players for planned in player.plan.stages]
        failed = [(p, name) for p, name in everywhere if p.state.stages.get(name, _NEVER).status is Status.FAILED]
        latest = [(p, name) for p, name in failed if not self.world.newer(p, name)]
        player, name = self.pick(data, latest or failed or everywhere)
        self._try(lambda: self.world.retry(player, name, mode))

    @precondition(lambda self: self.world.players)
    @rule(data=st.data())
    def override(self, data) -> None:
        player = self.pick(data, self.players)
        name = self.pick(data, [planned.name for planned in player.plan.stages])
        self._try(lambda: self.world.override(player, name))

    @precondition(lambda self: 0 < len(self.world.players) < 10)
    @rule(data=st.data())
    def roll_back(self, data) -> None:
        target = self.pick(data, self.players)
        name = self.pick(data, [planned.name for planned in target.plan.stages])
        self._try(lambda: self._roll_back(target, name))

    def _roll_back(self, target: Player, name) -> None:
        at = target.state.stages.get(name)
        holders = [p for p in self.world.present() if p.held and (p.pipeline, p.stage) == (target.execution.pipeline, name)]
        wanted: Rollback = control.rollback(
            target.execution,
            name,
            at.status if at else None,
            mode=target.plan.mode,
            holder=holders[0].execution if holders else "",
        )
        self.world.push(control.rollback_plan(target.plan, name), wanted)

    @rule(pipeline=st.sampled_from(("release", "docs")), name=st.sampled_from(("s0", "s1", "s2", "s3")))
    def transition(self, pipeline: str, name: str) -> None:
        if (pipeline, name) in self.world.closed:
            self.world.open(pipeline, name)
        else:
            self.world.close(pipeline, name)

    @precondition(lambda self: self.world.players)
    @rule(data=st.data(), name=st.sampled_from(("s0", "s1", "s2", "s3")))
    def outdate(self, data, name: str) -> None:
        self.world.outdated.add((self.pick(data, self.players).execution.id, name))
        self.world.settle()

    @rule(span=st.sampled_from((timedelta(seconds=4), timedelta(minutes=3), timedelta(hours=4), timedelta(days=8))))
    def time_passes(self, span: timedelta) -> None:
        self.world.wait(span)

    @rule(span=st.sampled_from((timedelta(minutes=1), timedelta(hours=5))))
    def clock_is_set_back(self, span: timedelta) -> None:
        self.world.wait(-span)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    def _try(self, ask) -> None:
        before = [player.state.seq for player in self.players]
        with suppress(RefusedError):
            ask()
            return
        assert before == [player.state.seq for player in self.players], "a refusal leaves no trace"

    @invariant()
    def one_holder_each(self) -> None:
        held = Counter(key for place in self.world.present() if place.held for key in place.keys)
        assert not [key for key, count in held.items() if count > 1]

    @invariant()
    def journal_is_the_state(self) -> None:
        for player in self.players:
            assert fold(player.events()) == player.state

    @invariant()
    def ends_once(self) -> None:
        for player in self.players:
            events = player.events()
            over = [index for index, event in enumerate(events) if isinstance(event, ExecutionEnded)]
            for first, second in pairwise(over):
                between = events[first + 1]
                assert type(between).__name__ in {"StageRetried", "ConditionOverridden"}, "only a person revives"
                assert not getattr(between, "automatic", False)
                assert second > first + 1
            assert player.state.status.is_final == bool(over and over[-1] == len(events) - 1)

    @invariant()
    def nothing_runs_that_is_not_known_to_run(self) -> None:
        known = {
            (name, stage_name, action_name, done.attempt)
            for name, player in self.world.players.items()
            for stage_name, at in player.state.stages.items()
            for action_name, done in at.actions.items()
            if done.is_running and (name, stage_name, action_name, done.attempt) in self.world.started
        }
        assert known == set(self.world.working)

    @invariant()
    def stages_are_entered_and_left_in_turn(self) -> None:
        for player in self.players:
            inside: set[str] = set()
            for event in player.events():
                if isinstance(event, StageEntered):
                    assert event.stage not in inside
                    inside.add(event.stage)
                elif isinstance(event, StageEnded):
                    inside.discard(event.stage)

    @invariant()
    def a_persons_retry_asks_people_again(self) -> None:
        for player in self.players:
            asked_for: dict[str, int] = {}  # by stage: where the journal tells of its last retry by a person
            answered: dict[tuple[str, str], int] = {}
            for index, event in enumerate(player.events()):
                if isinstance(event, StageRetried) and not event.automatic:
                    asked_for[event.stage] = index
                elif isinstance(event, ActionEnded):
                    answered[event.stage, event.action] = index
                elif isinstance(event, ActionStarting):
                    behind = [answered.get((event.stage, name), -1) for name in _gates_before(player.plan, event)]
                    assert min(behind, default=index) > asked_for.get(event.stage, -2), "a retry jumped the gate"

    @invariant()
    def nothing_new_before_wake_at(self) -> None:
        for player in self.players:
            next_time = wake_at(player.plan, player.state, self.world.now)
            until = (next_time or self.world.now + timedelta(days=30)) - timedelta(microseconds=1)
            said = decide(player.plan, player.state, self.world.now)
            assert decide(player.plan, player.state, until) == said

    def teardown(self) -> None:
        self.world.outdated.clear()
        self.world.finish_everything()
        self.ends_once()
        assert not self.world.working


def _gates_before(plan: Plan, start: ActionStarting) -> list[str]:
    """The approvals that an action itself waits for."""
    planned = {each.name: each for each in next(s for s in plan.stages if s.name == start.stage).actions}
    mine = planned[start.action]
    return [n for n in mine.needs if isinstance(planned[n].work, Approval)] if mine.when is When.SUCCESS else []


TestInterleavings = Repository.TestCase
TestInterleavings.settings = PROFILE
