"""A part of a plan, for running on somebody's own machine: what was chosen, what that needs, and without what reaches out."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from agent.definition.references import references
from agent.model.plan import Approval, Condition, Deploy, Group, Plan, PlannedAction, PlannedStage, Rule, Run, Use

Place = tuple[str, str]  # stage and action
Name = TypeVar("Name", bound=str)


class Left(NamedTuple):
    """Something that is left out, and why."""

    place: str
    why: str


class Part(NamedTuple):
    """The plan that is run, and what of the whole is not."""

    plan: Plan
    left: tuple[Left, ...]


def part(plan: Plan, chosen: Collection[Place], *, reaches_out: bool, approver: str = "") -> Part:
    """The chosen actions of a plan with those that make their artifacts and outputs.

    `reaches_out`: also deploys, scripts on hosts and what `uses` a provider. `approver`: who is asked for all approvals, in the
    place of all others; without one they are left out. So are windows and automatic rollbacks.
    """
    wanted = _with_producers(plan, chosen)
    left = tuple(
        Left(f"{stage.name}/{action.name}", why)
        for stage in plan.stages
        for action in stage.actions
        if (stage.name, action.name) in wanted and (why := _why_left(action, reaches_out, approver))
    )
    gone = {one.place for one in left}
    stages = [
        _stage(stage, {name for of, name in wanted if of == stage.name and f"{of}/{name}" not in gone}, approver)
        for stage in plan.stages
    ]
    kept = {stage.name for stage in stages if stage.actions}
    needs = {stage.name: stage.needs for stage in plan.stages}
    opened = [_opened(replace(stage, needs=_past(needs, stage.name, kept))) for stage in stages if stage.name in kept]
    closed = tuple(Left(stage.name, "its window of time") for stage in stages if stage.name in kept and _has_window(stage))
    return Part(replace(plan, stages=tuple(opened), rollback=True), left + closed)


def _why_left(action: PlannedAction, reaches_out: bool, approver: str) -> str:
    match action.work:
        case Approval() if not approver:
            return "an approval"
        case Deploy(to=to) if not reaches_out:
            return f"a deploy to {to}"
        case Run(hosts=hosts) if hosts and not reaches_out:
            return f"a script on the hosts {hosts}"
        case Use(provider=provider) if not reaches_out:
            return f"an action of {provider}"
    return ""


def _with_producers(plan: Plan, chosen: Collection[Place]) -> set[Place]:
    """The chosen and all that must have run before, as they read what it leaves."""
    actions = {(stage.name, action.name): action for stage in plan.stages for action in stage.actions}
    makers = [(place, {made.name for made in action.artifacts}, action.namespace) for place, action in actions.items()]
    wanted: set[Place] = set()
    open_ends = [place for place in actions if place in chosen]
    while open_ends:
        place = open_ends.pop()
        if place in wanted:
            continue
        wanted.add(place)
        reads = {read.name for read in actions[place].inputs}
        names = {found.namespace for found in references(msgspec.json.encode(actions[place]).decode())}
        open_ends += [other for other, made, namespace in makers if reads & made or (namespace and namespace in names)]
    return wanted


def _stage(stage: PlannedStage, names: Collection[str], approver: str) -> PlannedStage:
    needs = {action.name: action.needs for action in stage.actions}
    kept = [_asking(action, approver) for action in stage.actions if action.name in names]
    return replace(stage, actions=tuple(replace(action, needs=_past(needs, action.name, names)) for action in kept))


def _asking(action: PlannedAction, approver: str) -> PlannedAction:
    if not isinstance(action.work, Approval):
        return action
    return replace(action, work=replace(action.work, groups=(Group(any_of=(approver,)),), not_author=False))


def _past(needs: Mapping[Name, Sequence[Name]], name: Name, kept: Collection[str]) -> tuple[Name, ...]:
    """What is needed, or where that is gone what it needed itself."""
    found: dict[Name, None] = {}
    open_ends = list(reversed(needs[name]))
    while open_ends:
        one = open_ends.pop()
        if one in kept:
            found[one] = None
        else:
            open_ends += reversed(needs[one])
    return tuple(found)


def _has_window(stage: PlannedStage) -> bool:
    return any(rule.provider == "window" for rule in _rules(stage.before_entry))


def _rules(condition: Condition | None) -> tuple[Rule, ...]:
    return condition.rules if condition else ()


def _opened(stage: PlannedStage) -> PlannedStage:
    """Without what only makes sense among other executions and at some times of the day."""
    rules = tuple(rule for rule in _rules(stage.before_entry) if rule.provider != "window")
    entry = replace(stage.before_entry, rules=rules) if stage.before_entry and rules else None
    return replace(stage, before_entry=entry, ancestry=False, on_failure=replace(stage.on_failure, rollback=False))
