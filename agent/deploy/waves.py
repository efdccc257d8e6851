"""Strategies as plans of waves: which hosts are deployed to together, and how long each wave is watched before the next."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from enum import IntEnum

from agent.definition.deployment import Strategy
from agent.deploy.health import Tolerance, tolerance
from agent.errors import DefinitionError
from agent.model.amount import Amount
from agent.model.value import Value

NONE = timedelta()


class Standing(IntEnum):
    """What a host is known to run, in the order in which hosts are taken (codepipeline.md 4.6)."""

    UNHEALTHY = 0
    UNKNOWN = 1
    OLD = 2
    CURRENT = 3


class Target(Value, frozen=True, kw_only=True):
    """One host of a group, as strategies see it."""

    name: str
    zone: str = ""
    standing: Standing = Standing.OLD


class Wave(Value, frozen=True, kw_only=True):
    """Hosts that are deployed to side by side; then `bake` passes, and the health of all hosts so far is asked again."""

    hosts: tuple[str, ...]
    bake: timedelta = NONE


class Rollout(Value, frozen=True, kw_only=True):
    """The waves in order, and how many failures they bear."""

    waves: tuple[Wave, ...]
    rule: Tolerance


class Pace(Value, frozen=True, kw_only=True):
    """What the pipeline says of waves; None is "not said"."""

    strategy: Strategy = "rolling"
    batch: Amount | None = None
    minimum: Amount | None = None
    canary: Amount | None = None
    bake: timedelta = NONE
    zones: bool = False


_ONE = Amount(number=1)
_ALMOST_ALL = Amount(number=99, percent=True)
ALIASES: dict[Strategy, Pace] = {
    "CodeDeployDefault.AllAtOnce": Pace(strategy="all-at-once", minimum=Amount(number=0)),
    "CodeDeployDefault.HalfAtATime": Pace(strategy="half", minimum=Amount(number=50, percent=True)),
    "CodeDeployDefault.OneAtATime": Pace(strategy="one-at-a-time", minimum=_ALMOST_ALL),
}


def rollout(pace: Pace, targets: Sequence[Target]) -> Rollout:
    """The waves of a strategy over these hosts.

    By our own names every host must succeed, unless `minimum` says how many suffice; by CodeDeploy's names its rules count,
    which bear failures. Raises DefinitionError for a minimum that no wave could keep.
    """
    known = ALIASES.get(pace.strategy)
    if known:
        pace = Pace(strategy=known.strategy, minimum=known.minimum, bake=pace.bake, zones=pace.zones)
    if not targets:
        raise DefinitionError("deploy: the group has no hosts")
    rule = _rule(pace, len(targets))
    ordered = sorted(targets, key=lambda target: target.standing)
    waves = STRATEGIES[pace.strategy](pace, ordered, rule)
    return Rollout(waves=_with_bake(waves, pace), rule=rule)


def _rule(pace: Pace, total: int) -> Tolerance:
    if pace.minimum is None or total == 1:
        return Tolerance(total=total, minimum=0, strict=True)
    if pace.strategy == "one-at-a-time" and pace.minimum == _ALMOST_ALL:
        return Tolerance(total=total, minimum=total - 1)  # 99 % rounded up would be all of them (codepipeline.md 4.6)
    return tolerance(total, pace.minimum)


def _all_at_once(pace: Pace, targets: Sequence[Target], rule: Tolerance) -> Iterable[Sequence[Target]]:
    return _batches(targets, rule.at_once, pace.zones)


def _one_at_a_time(pace: Pace, targets: Sequence[Target], rule: Tolerance) -> Iterable[Sequence[Target]]:
    return _batches(targets, 1, pace.zones)


def _half(pace: Pace, targets: Sequence[Target], rule: Tolerance) -> Iterable[Sequence[Target]]:
    return _batches(targets, max(1, len(targets) // 2), pace.zones)


def _rolling(pace: Pace, targets: Sequence[Target], rule: Tolerance) -> Iterable[Sequence[Target]]:
    """Batches as said; else as many as the minimum allows; else a quarter at a time."""
    total = len(targets)
    allowed = rule.at_once if pace.minimum else max(1, total // 4)
    size = _some(pace.batch, total) if pace.batch else allowed
    return _batches(targets, min(size, rule.at_once), pace.zones)


def _canary(pace: Pace, targets: Sequence[Target], rule: Tolerance) -> Iterable[Sequence[Target]]:
    """The first few, then the rest: at once, or in batches where `batch` or a minimum says so."""
    total = len(targets)
    first = min(_some(pace.canary or _ONE, total), total)
    yield targets[:first]
    rest = targets[first:]
    size = _some(pace.batch, total) if pace.batch else total
    yield from _batches(rest, min(size, rule.at_once), pace.zones)


Maker = Callable[[Pace, Sequence[Target], Tolerance], Iterable[Sequence[Target]]]
STRATEGIES: dict[Strategy, Maker] = {
    "all-at-once": _all_at_once,
    "one-at-a-time": _one_at_a_time,
    "half": _half,
    "rolling": _rolling,
    "canary": _canary,
    "blue-green": _rolling,  # on each host two slots and a switch; over the hosts as `rolling`
}


def _some(wanted: Amount, total: int) -> int:
    return max(1, wanted.up(total))


def _batches(targets: Sequence[Target], size: int, zones: bool) -> Iterable[Sequence[Target]]:
    """Batches in order; with `zones` no batch has hosts of two zones, and a zone is finished before the next begins."""
    names = sorted({target.zone for target in targets}) if zones else [None]
    for zone in names:
        members = [target for target in targets if zone is None or target.zone == zone]
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _with_bake(waves: Iterable[Sequence[Target]], pace: Pace) -> tuple[Wave, ...]:
    """Every wave is watched, the last one too: what fails then can still be rolled back. A canary is watched only first."""
    listed = [tuple(target.name for target in wave) for wave in waves if wave]
    return tuple(
        Wave(hosts=hosts, bake=pace.bake if pace.strategy != "canary" or index == 0 else NONE)
        for index, hosts in enumerate(listed)
    )


def shares(pace: Pace) -> tuple[int, ...]:
    """Between two fleets: percent of the traffic for the new one, step by step: `canary` first, then `batch` more each time."""
    first = pace.canary or pace.batch
    step = pace.batch.number if pace.batch else 100
    return (*range(first.number if first else 100, 100, step), 100)
