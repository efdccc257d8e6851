"""A repository's executions played in memory: journals as bytes, places, people, and a clock that only the test moves."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from agent.execution import control, modes
from agent.execution.commands import CancelAction, EvaluateRule, Record, StartAction, StartRollback
from agent.execution.control import Asked, Voter
from agent.execution.decide import decide, wake_at
from agent.execution.events import (
    ActionEnded,
    ActionStarting,
    Event,
    ExecutionEnded,
    ExecutionStarted,
    Gate,
    RollbackStarted,
    RuleEnded,
    RuleStarting,
    StageEntered,
    StageRetried,
)
from agent.execution.fold import evolve, fold
from agent.execution.modes import Enter, Supersede
from agent.execution.state import ActionState, ExecutionState, StageState
from agent.model.execution import Execution, Rollback, TriggerType
from agent.model.ids import ActionName, ExecutionId, Oid, PipelineName, RefName, StageName
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import (
    Approval,
    Group,
    Mode,
    Plan,
    PlannedAction,
    PlannedStage,
    RetryMode,
    Run,
    When,
)

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday
OK = Outcome(status=Status.SUCCEEDED)
BROKEN = Outcome(status=Status.FAILED, reason=Reason.EXIT, message="exit code 1", exit_code=1)
CANCELLED = Outcome(status=Status.ABANDONED, reason=Reason.STOPPED, message="cancelled")
ROLES = {"alice": ("operator",), "bob": ("operator",)}


def action(name: str, **fields) -> PlannedAction:
    return PlannedAction(**{"name": ActionName(name), "work": Run(script="true"), **fields})


def approval(name: str, count: int = 1, **fields) -> PlannedAction:
    return action(name, work=Approval(groups=(Group(any_of=("operator",), count=count),)), timeout=timedelta(days=7), **fields)


def stage(name: str, *actions: PlannedAction | str, **fields) -> PlannedStage:
    made = tuple(action(each) if isinstance(each, str) else each for each in actions)
    return PlannedStage(name=StageName(name), actions=made, **fields)


def plan(*stages: PlannedStage, pipeline: str = "release", **fields) -> Plan:
    """A plan whose stages follow each other, unless one says what it needs."""
    chained = tuple(
        each if index == 0 or each.needs else replace(each, needs=(stages[index - 1].name,)) for index, each in enumerate(stages)
    )
    return Plan(pipeline=PipelineName(pipeline), stages=chained, **fields)


Work = tuple[ExecutionId, StageName, ActionName, int]
Asking = tuple[ExecutionId, StageName, Gate, int]


@dataclass
class Player:
    """One execution, its journal, and the state the worker holds in memory."""

    execution: Execution
    plan: Plan
    journal: list[bytes] = field(default_factory=list)
    state: ExecutionState = field(default_factory=ExecutionState)

    def record(self, *events: Event) -> None:
        for event in events:
            after = evolve(self.state, event)
            assert after != replace(self.state, seq=after.seq), f"{event} makes no sense in {self.state}"
            self.journal.append(msgspec.json.encode(event))
            self.state = after

    def events(self) -> list[Event]:
        return [msgspec.json.decode(line, type=Event) for line in self.journal]

    def at(self, name: str) -> StageState:
        return self.state.stages[StageName(name)]

    def action(self, name: str, action_name: str) -> ActionState:
        return self.at(name).actions[ActionName(action_name)]


class World:
    """What a worker does, without any effect: carries out commands until nothing is left to do at this moment."""

    def __init__(self, places: int = 1000) -> None:
        self.now = START
        self.places = places
        self.players: dict[ExecutionId, Player] = {}
        self.working: dict[Work, bool] = {}  # truly running work -> whether it was asked to end
        self.started: set[Work] = set()
        self.asking: set[Asking] = set()
        self.closed: set[modes.Transition] = set()
        self.outdated: set[tuple[ExecutionId, StageName]] = set()
        self.prepared: list[object] = []

    # -- what comes from outside

    def push(self, made: Plan, rollback: Rollback | None = None) -> Player:
        number = 1 + sum(player.execution.pipeline == made.pipeline for player in self.players.values())
        name = ExecutionId(f"{len(self.players):026d}")
        execution = Execution(
            id=name, pipeline=made.pipeline, number=number, commit=Oid("0" * 39 + "1"), ref=RefName("refs/heads/main"),
            trigger=TriggerType.ROLLBACK if rollback else TriggerType.PUSH, created_at=self.now, rollback=rollback,
        )  # fmt: skip
        player = self.players[name] = Player(execution, made)
        player.record(ExecutionStarted(at=self.now))
        self.settle()
        return player

    def end(self, player: Player, stage_name: str, action_name: str, outcome: Outcome = OK) -> None:
        work = next(w for w in self.working if w[:3] == (player.execution.id, stage_name, action_name))
        self.finish(work, outcome)

    def finish(self, work: Work, outcome: Outcome) -> None:
        del self.working[work]
        name, stage_name, action_name, attempt = work
        ended = ActionEnded(at=self.now, stage=stage_name, action=action_name, attempt=attempt, outcome=outcome)
        self.players[name].record(ended)
        self.settle()

    def rule(self, asking: Asking, status: Status, *, errored: bool = False) -> None:
        self.asking.discard(asking)
        name, stage_name, gate, index = asking
        end = RuleEnded(at=self.now, stage=stage_name, gate=gate, index=index, status=status, errored=errored)
        self.players[name].record(end)
        self.settle()

    def asked(self, by: str = "alice") -> Asked:
        return Asked(at=self.now, by=by)

    def answer(
        self, player: Player, stage_name: str, person: str = "alice", *, approved: bool = True, action_name: str = ""
    ) -> None:
        voter, stage_named = Voter(name=person), StageName(stage_name)
        asked = self.asked(person)
        player.record(control.answer(player.plan, player.state, stage_named, action_name, voter, asked, ROLES, approved=approved))
        self.settle()

    def stop(self, player: Player, *, abandon: bool = False) -> None:
        player.record(control.stop(player.state, self.asked(), abandon=abandon))
        self.settle()

    def retry(self, player: Player, stage_name: str, mode: RetryMode = RetryMode.FAILED_ACTIONS) -> None:
        newer = self.newer(player, stage_name)
        player.record(control.retry(player.plan, player.state, StageName(stage_name), mode, self.asked(), newer=newer))
        self.settle()

    def override(self, player: Player, stage_name: str) -> None:
        newer = self.newer(player, stage_name)
        player.record(control.override(player.plan, player.state, StageName(stage_name), self.asked(), newer=newer))
        self.settle()

    def newer(self, player: Player, stage_name: str) -> str:
        if player.plan.mode is Mode.PARALLEL:
            return ""
        same = [p for p in self.players.values() if p.execution.pipeline == player.execution.pipeline]
        later = [p for p in same if p.execution.number > player.execution.number and stage_name in p.state.stages]
        return later[-1].execution.label if later else ""

    def close(self, pipeline: str, stage_name: str) -> None:
        self.closed.add((PipelineName(pipeline), StageName(stage_name)))

    def open(self, pipeline: str, stage_name: str) -> None:
        self.closed.discard((PipelineName(pipeline), StageName(stage_name)))
        self.settle()

    def wait(self, span: timedelta) -> None:
        self.now += span
        self.settle()

    def crash(self) -> None:
        """The worker is killed and another one reads the journals; what runs goes on by itself."""
        for player in self.players.values():
            again = fold(player.events())
            assert again == player.state
            player.state = again
        self.settle()

    # -- the worker

    def settle(self) -> None:
        for _ in range(10_000):
            if not (self._decisions() or self._admissions()):
                return
        raise AssertionError("the worker never comes to rest")

    def _decisions(self) -> bool:
        busy = False
        for player in list(self.players.values()):
            commands = decide(player.plan, player.state, self.now)
            assert commands == decide(player.plan, player.state, self.now)
            for command in commands:
                busy = self._perform(player, command) or busy
        return busy

    def _perform(self, player: Player, command) -> bool:
        match command:
            case Record(event=event):
                player.record(event)
                self._forget_withdrawn(player, event)
                return True
            case StartAction():
                return self._start(player, command)
            case CancelAction():
                self.working[player.execution.id, command.stage, command.action, command.attempt] = True
            case EvaluateRule():
                return self._ask(player, command)
            case StartRollback():
                self._roll_back(player, command.stage)
                return True
            case _:
                self.prepared.append(command)
        return False

    def _forget_withdrawn(self, player: Player, event: Event) -> None:
        if isinstance(event, RuleEnded):
            self.asking.discard((player.execution.id, event.stage, event.gate, event.index))
        assert not isinstance(event, ExecutionEnded) or not [w for w in self.working if w[0] == player.execution.id]

    def _start(self, player: Player, command: StartAction) -> bool:
        if len(self.working) >= self.places:
            return False
        work = (player.execution.id, command.stage, command.action, command.attempt)
        assert work not in self.started, "an attempt was started twice"
        self._may_start(player, command)
        self.started.add(work)
        self.working[work] = False
        deadline = self.now + timedelta(hours=1)
        player.record(
            ActionStarting(at=self.now, stage=command.stage, action=command.action, attempt=command.attempt, deadline=deadline)
        )
        return True

    def _may_start(self, player: Player, command: StartAction) -> None:
        at = player.state.stages[command.stage]
        planned = {each.name: each for each in next(s for s in player.plan.stages if s.name == command.stage).actions}
        mine = planned[command.action]
        assert at.is_held
        assert not player.state.stop
        past = at.actions.get(command.action)
        if past is not None:
            assert not past.is_running
            assert past.rerun or (past.status is Status.FAILED and past.retries_used < mine.retries.count)
            assert command.attempt == past.attempt + 1
            assert self._automatic_starts(player, command) <= mine.retries.count
        for need in mine.needs:
            needed = at.actions.get(need)
            ended = needed is None or not needed.is_running
            fine = needed and (needed.status is Status.SUCCEEDED or planned[need].continue_on_error) and not needed.rerun
            assert ended
            assert fine or mine.when is not When.SUCCESS

    def _automatic_starts(self, player: Player, command: StartAction) -> int:
        """How often this action was started since it was last asked for, told by the journal alone."""
        starts = 0
        for event in player.events():
            if isinstance(event, StageRetried) and event.stage == command.stage and command.action in event.actions:
                starts = 0
            elif isinstance(event, ActionStarting) and (event.stage, event.action) == (command.stage, command.action):
                starts += 1
        return starts

    def _ask(self, player: Player, command: EvaluateRule) -> bool:
        asking = (player.execution.id, command.stage, command.gate, command.index)
        if asking in self.asking:
            return False
        self.asking.add(asking)
        event = RuleStarting(at=self.now, stage=command.stage, gate=command.gate, index=command.index, deadline=command.deadline)
        player.record(event)
        return True

    def _roll_back(self, player: Player, name: StageName) -> None:
        assert player.execution.rollback is None
        former = [
            p
            for p in self.players.values()
            if p.execution.pipeline == player.execution.pipeline and p is not player and p.execution.rollback is None
            if name in p.state.stages and p.state.stages[name].status is Status.SUCCEEDED
        ]
        if not former:
            player.record(RollbackStarted(at=self.now, stage=name, execution=""))
            return
        target = former[-1]
        wanted = Rollback(stage=name, target=target.execution.id, target_number=target.execution.number)
        number = 1 + sum(p.execution.pipeline == player.execution.pipeline for p in self.players.values())
        new_id = ExecutionId(f"{len(self.players):026d}")
        player.record(RollbackStarted(at=self.now, stage=name, execution=new_id, number=number))
        self.push(control.rollback_plan(target.plan, name), wanted)

    def present(self) -> list[modes.Place]:
        return [place for p in self.players.values() for place in modes.places(p.execution, p.plan, p.state, self.now)]

    def _admissions(self) -> bool:
        decisions = modes.admit(self.present(), closed=self.closed, outdated=self.outdated)
        for decision in decisions:
            player = self.players[decision.execution]
            match decision:
                case Enter():
                    player.record(StageEntered(at=self.now, stage=decision.stage))
                case Supersede():
                    self._supersede(player, decision)
        return bool(decisions)

    def _supersede(self, player: Player, decision: Supersede) -> None:
        assert not [work for work in self.working if work[0] == player.execution.id], "what runs is never superseded"
        held = {
            planned.name
            for planned in player.plan.stages
            if planned.name in player.state.stages and player.at(planned.name).is_held
        }
        patient = {planned.name for planned in player.plan.stages if planned.supersede_approvals}
        assert held <= patient, "only who waits, or lets itself be superseded while people think"
        by = self.players[decision.by].execution.label if decision.by else ""
        player.record(*modes.superseded(player.plan, player.state, decision.stage, by, self.now))

    # -- to the end

    def wake_at(self) -> datetime | None:
        times = [wake_at(player.plan, player.state, self.now) for player in self.players.values()]
        return min((time for time in times if time), default=None)

    def waiting_for_people(self) -> list[tuple[Player, StageName, ActionName]]:
        return [
            (player, planned.name, each.name)
            for player in self.players.values()
            if not player.state.status.is_final
            for planned in player.plan.stages
            for each in planned.actions
            if isinstance(each.work, Approval)
            and planned.name in player.state.stages
            and each.name in player.state.stages[planned.name].actions
            and player.state.stages[planned.name].actions[each.name].is_running
        ]

    def finish_everything(self) -> None:
        """Open every transition, end all work, answer everything, let time pass: every execution must come to its end."""
        self.closed.clear()
        self.settle()
        for _ in range(10_000):
            if all(player.state.status.is_final for player in self.players.values()):
                return
            self._one_step()
        raise AssertionError("an execution never ends")

    def _one_step(self) -> None:
        if self.working:
            work, cancelled = next(iter(self.working.items()))
            self.finish(work, CANCELLED if cancelled else OK)
        elif self.asking:
            self.rule(next(iter(self.asking)), Status.SUCCEEDED)
        elif asked := self.waiting_for_people():
            player, stage_name, name = asked[0]
            given = {past.person for past in player.action(stage_name, name).answers}
            self.answer(player, stage_name, next(p for p in ROLES if p not in given), action_name=name)
        else:
            next_time = self.wake_at()
            assert next_time is not None, "nothing runs, nobody is asked, no time is awaited: a deadlock"
            self.wait(next_time - self.now)


def end_all(world: World, **ends: Outcome) -> None:
    """End running work until nothing runs, as said by the action's name; OK where nothing is said."""
    while world.working:
        work = next(iter(world.working))
        world.finish(work, CANCELLED if world.working[work] else ends.get(work[2], OK))


def one(world: World, *actions: PlannedAction | str, **fields) -> Player:
    """An execution of a pipeline with the one stage `s`."""
    return world.push(plan(stage("s", *actions, **fields)))


def started(player: Player) -> list[str]:
    """The attempts in the order in which they started: stage/action#attempt."""
    starts = [event for event in player.events() if isinstance(event, ActionStarting)]
    return [f"{event.stage}/{event.action}#{event.attempt}" for event in starts]


def statuses(world: World) -> list[str]:
    return [str(player.state.status) for player in world.players.values()]
