"""Who may enter a stage: the judgement between executions (codepipeline.md 2.1), over all of a repository at once.

The rules, in the order in which they are applied:
- A stage of a pipeline holds one execution at a time, a `lock` one in the whole repository; both from StageEntered to StageEnded,
  also while people are asked. In parallel mode only the lock counts.
- Within a pipeline the number tells the order, as each earlier stage lets one pass at a time; so neither a retry that comes back
  nor a clock that was set back lets an older execution pass a newer one. Between pipelines (locks) the time of arrival tells it.
- superseded: of those that wait in front of a stage the newest stays, older ones are superseded; one that is in a stage somewhere
  is never touched, and so goes first. queued: first in, first out. parallel: nobody waits for its own kind.
- A disabled transition holds all back, in queued mode also those behind; in superseded mode the newest still takes the slot.
- A rollback neither supersedes what waits nor is superseded by it, only by a newer rollback of the same stage; it goes first, and
  passes a disabled transition: people close the way in and then roll back, and nothing but that stage runs.
- `supersede_approvals`: one that only waits for people in a stage gives way to a newer one that could enter.
- `ancestry`: what is known to be older than what last passed the stage is superseded instead of entering it. Not a rollback.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from agent.execution import asking
from agent.execution.events import Event, ExecutionEnded, StageEnded
from agent.execution.standing import Standing, standings
from agent.execution.state import ExecutionState, StageState
from agent.model.execution import Execution
from agent.model.ids import ExecutionId, PipelineName, StageName
from agent.model.outcome import Status
from agent.model.plan import Approval, Mode, Plan, PlannedStage
from agent.model.value import Value

Transition = tuple[PipelineName, StageName]
Key = tuple[str, str, str]


class Place(Value, frozen=True, kw_only=True):
    """An execution in a stage, or waiting in front of it."""

    execution: ExecutionId
    pipeline: PipelineName
    number: int
    stage: StageName
    arrived_at: datetime
    mode: Mode = Mode.SUPERSEDED
    lock: str = ""
    held: bool = False
    idle: bool = True  # the execution is in no stage at all
    patient: bool = False  # only waits for people, and its stage lets newer ones take its place
    rollback: bool = False

    @property
    def keys(self) -> frozenset[Key]:
        """What it holds, or needs to have to itself to enter."""
        stage = [] if self.mode is Mode.PARALLEL else [("stage", self.pipeline, self.stage)]
        return frozenset(stage + ([("lock", self.lock, "")] if self.lock else []))


class Enter(Value, frozen=True, kw_only=True):
    """Journal StageEntered for this execution."""

    execution: ExecutionId
    stage: StageName


class Supersede(Value, frozen=True, kw_only=True):
    """Journal the events of `superseded` for this execution. `by` None: by one that is over already."""

    execution: ExecutionId
    stage: StageName
    by: ExecutionId | None = None


Decision = Enter | Supersede


def places(execution: Execution, plan: Plan, state: ExecutionState, now: datetime) -> tuple[Place, ...]:
    """Where an active execution stands. One that is stopped or over waits nowhere, but holds what it has until it is out."""
    if state.status.is_final:
        return ()
    idle = not any(stage.is_held for stage in state.stages.values())
    alone = not state.stop and sum(stage.is_held for stage in state.stages.values()) == 1
    return tuple(
        _place(execution, plan, stage, at, idle, alone and _is_patient(stage, at, now))
        for stage in plan.stages
        if (at := state.stages.get(stage.name)) and (at.is_held or (at.is_waiting and not state.stop))
    )


def _place(execution: Execution, plan: Plan, stage: PlannedStage, at: StageState, idle: bool, patient: bool) -> Place:
    return Place(
        execution=execution.id, pipeline=execution.pipeline, number=execution.number, stage=stage.name,
        arrived_at=at.arrived_at, mode=plan.mode, lock=stage.lock, held=at.is_held, idle=idle,
        patient=patient, rollback=execution.rollback is not None,
    )  # fmt: skip


def _is_patient(stage: PlannedStage, state: StageState, now: datetime) -> bool:
    if not stage.supersede_approvals or not state.is_held or any(gate.pending for gate in state.gates.values()):
        return False
    people = {action.name for action in stage.actions if isinstance(action.work, Approval)}
    busy = {Standing.RUNNING, Standing.READY, Standing.LATER}
    active = [name for name, standing in standings(stage, state, now).items() if standing in busy]
    asked = {name for name in people if name in state.actions and state.actions[name].is_running}
    return bool(active) and asked.issuperset(active)


def admit(
    present: Sequence[Place],
    *,
    closed: Collection[Transition] = frozenset(),
    outdated: Collection[tuple[ExecutionId, StageName]] = frozenset(),
) -> tuple[Decision, ...]:
    """What may be done now. Journal it, and ask again until nothing is said: each answer may open the way for the next.

    `closed`: disabled transitions. `outdated`: executions known to be older than what last passed a stage with `ancestry`.
    """
    waiting = [place for place in present if not place.held]
    gone = {decision.execution: decision for decision in _superseded(waiting, outdated)}
    left = [place for place in waiting if place.execution not in gone]
    heads = [place for place in _heads(left, outdated) if place.rollback or (place.pipeline, place.stage) not in closed]
    taken = {key for place in present if place.held for key in place.keys}
    patient = [place for place in present if place.held and place.patient and not place.rollback]
    giving_way = {decision.execution: decision for decision in _give_way(heads, patient)}
    entering = _enter([place for place in heads if place.execution not in giving_way], taken)
    return (*gone.values(), *giving_way.values(), *entering)


def _superseded(waiting: Sequence[Place], outdated: Collection[tuple[ExecutionId, StageName]]) -> Iterator[Supersede]:
    newest: dict[tuple[str, str, bool], Place] = {}
    for place in sorted(waiting, key=lambda place: -place.number):
        if not place.rollback and place.idle and (place.execution, place.stage) in outdated:
            yield Supersede(execution=place.execution, stage=place.stage)
        elif place.mode is Mode.SUPERSEDED:
            first = newest.setdefault((place.pipeline, place.stage, place.rollback), place)
            if first is not place and place.idle:
                yield Supersede(execution=place.execution, stage=place.stage, by=first.execution)


def _heads(waiting: Sequence[Place], outdated: Collection[tuple[ExecutionId, StageName]]) -> list[Place]:
    """Those whose turn it is, one for each stage (each one in parallel mode), in the order of their arrival."""
    heads: dict[tuple[str, ...], Place] = {}
    for place in sorted(waiting, key=lambda place: (not place.rollback, place.number)):
        if place.rollback or (place.execution, place.stage) not in outdated:
            own = (place.execution,) if place.mode is Mode.PARALLEL else ()
            heads.setdefault((place.pipeline, place.stage, *own), place)
    return sorted(heads.values(), key=lambda place: (place.arrived_at, place.execution))


def _enter(heads: Sequence[Place], taken: set[Key]) -> Iterator[Enter]:
    for place in heads:
        if taken.isdisjoint(place.keys):
            taken |= place.keys
            yield Enter(execution=place.execution, stage=place.stage)


def _give_way(heads: Sequence[Place], patient: Sequence[Place]) -> Iterator[Supersede]:
    for holder in patient:
        for place in heads:
            same = (place.pipeline, place.stage) == (holder.pipeline, holder.stage) and place.mode is not Mode.PARALLEL
            if same and not place.rollback and place.number > holder.number:
                yield Supersede(execution=holder.execution, stage=holder.stage, by=place.execution)
                break


def superseded(plan: Plan, state: ExecutionState, stage: StageName, by: str, now: datetime) -> tuple[Event, ...]:
    """The end of an execution whose place another took, to be journalled at once. `by`: its label; empty: it passed long ago."""
    message = f"superseded by {by}" if by else f"a newer commit has already passed {stage}"
    return (*_withdrawn(plan, state, message, now), ExecutionEnded(at=now, status=Status.SUPERSEDED, message=message))


def _withdrawn(plan: Plan, state: ExecutionState, message: str, now: datetime) -> Iterator[Event]:
    for stage in plan.stages:
        at = state.stages.get(stage.name)
        if at is None or not at.is_held:
            continue
        for name, action in at.actions.items():
            if action.is_running:
                yield asking.ended(stage.name, name, action, asking.withdraw(message, now), now)
        yield StageEnded(at=now, stage=stage.name, status=Status.CANCELLED, message=message)
