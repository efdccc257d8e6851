"""What may go. Pure: values in, names out; `admin/cleaning.py` applies it.

An artifact stays while something could still ask for it: an execution that has not ended, one that is young enough to be
retried or rolled back to, and for every stage the executions that last succeeded in it, however old: a rollback needs them.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from agent.artifacts.base import Stored
from agent.model.ids import ExecutionId, PipelineName, StageName
from agent.model.value import Value

SUCCESSES = 2  # per stage: the one that is live, and the one to go back to
FRESH = timedelta(days=1)  # an archive that young may belong to an action whose end is not journalled yet


class Holding(Value, frozen=True, kw_only=True):
    """An execution with what it holds: the digests of its artifacts. `ended_at` None: it has not ended.

    `succeeded` are its stages that did, each with the time; `target` is the execution whose artifacts a rollback uses.
    """

    execution: ExecutionId
    pipeline: PipelineName
    ended_at: datetime | None = None
    succeeded: dict[StageName, datetime] = {}
    digests: tuple[str, ...] = ()
    target: ExecutionId | str = ""


def pinned(holdings: Iterable[Holding]) -> frozenset[str]:
    """Executions that stay whatever their age: those that have not ended, the last successes of every stage, their targets."""
    known = {holding.execution: holding for holding in holdings}
    wins: dict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)
    for holding in known.values():
        for stage, at in holding.succeeded.items():
            wins[holding.pipeline, stage].append((at, holding.execution))
    last = {execution for stage in wins.values() for _, execution in sorted(stage)[-SUCCESSES:]}
    keep = last | {holding.execution for holding in known.values() if holding.ended_at is None}
    return frozenset(_with_targets(keep, known))


def executions(holdings: Iterable[Holding], age: timedelta, now: datetime) -> tuple[str, ...]:
    """Executions that ended longer ago than `age` and are not pinned, in the order given."""
    every = tuple(holdings)
    kept = pinned(every)
    return tuple(one.execution for one in every if one.execution not in kept and _older(one, now - age))


def holders(holdings: Iterable[Holding], age: timedelta, now: datetime) -> frozenset[str]:
    """Executions that still hold what they made: those that are pinned, or ended within `age`, and their targets."""
    every = {holding.execution: holding for holding in holdings}
    young = {name for name, one in every.items() if not _older(one, now - age)}
    return frozenset(_with_targets(pinned(every.values()) | young, every))


def artifacts(holdings: Iterable[Holding], stored: Iterable[Stored], age: timedelta, now: datetime) -> tuple[Stored, ...]:
    """Archives that nobody holds any more: neither a pinned execution nor one that ended within `age`."""
    every = {holding.execution: holding for holding in holdings}
    held = {digest for name in holders(every.values(), age, now) for digest in every[ExecutionId(name)].digests}
    return tuple(one for one in stored if one.digest not in held and one.at < now - FRESH)


def _with_targets(names: Iterable[str], known: dict[ExecutionId, Holding]) -> set[str]:
    every: set[str] = set()
    waiting = [name for name in names if name in known]
    while waiting:
        name = waiting.pop()
        every.add(name)
        target = known[ExecutionId(name)].target
        if target in known and target not in every:
            waiting.append(target)
    return every


def _older(holding: Holding, limit: datetime) -> bool:
    return holding.ended_at is not None and holding.ended_at < limit
