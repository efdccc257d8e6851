"""How a pipeline has done: the four measures of DORA over its executions, what is slow, and what fails only sometimes.

Frequency: executions that succeeded in a week. Lead time: from the commit to the end of the execution that succeeded. Failure
rate: failed of all that succeeded or failed. Time to restore: from a failure to the end of the next success.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from agent.model.outcome import Status
from agent.results.record import ActionRecord, AttemptRecord, Record

MOST = 10  # slow and flaky actions that are named
WEEK = timedelta(weeks=1)


class Slow(NamedTuple):
    """An action, its place `stage/action`, and the median time it took when it succeeded."""

    place: str
    median: timedelta
    runs: int


class Flaky(NamedTuple):
    """An action that both failed and succeeded on the same commit, on how many of the commits it ran for."""

    place: str
    commits: int
    of: int


class History(NamedTuple):
    """The executions of one pipeline, newest first. A measure is None where nothing tells it."""

    pipeline: str
    records: tuple[Record, ...]
    succeeded: int
    failed: int
    per_week: float | None
    lead_time: timedelta | None
    failure_rate: float | None
    restore: timedelta | None
    slowest: tuple[Slow, ...]
    flaky: tuple[Flaky, ...]


def histories(records: Iterable[Record], committed: Mapping[str, datetime]) -> tuple[History, ...]:
    """The history of each pipeline, by name. `committed` says when commits were made, of those that are known."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda one: one.id, reverse=True):
        found[record.pipeline].append(record)
    return tuple(_history(pipeline, found[pipeline], committed) for pipeline in sorted(found))


def _history(pipeline: str, records: Sequence[Record], committed: Mapping[str, datetime]) -> History:
    good = [one for one in records if one.status is Status.SUCCEEDED]
    bad = [one for one in records if one.status is Status.FAILED]
    ended = len(good) + len(bad)
    return History(
        pipeline=pipeline,
        records=tuple(records),
        succeeded=len(good),
        failed=len(bad),
        per_week=_per_week(good),
        lead_time=_median(one.ended_at - committed.get(one.commit, one.created_at) for one in good if one.ended_at),
        failure_rate=len(bad) / ended if ended else None,
        restore=_median(_restores(records)),
        slowest=tuple(_slowest(records)),
        flaky=tuple(_flaky(records)),
    )


def _per_week(good: Sequence[Record]) -> float | None:
    """Over the time from the first to the last; not told by less than two, or by those of a single moment."""
    ends = sorted(one.ended_at for one in good if one.ended_at)
    if len(ends) < 2 or ends[-1] == ends[0]:
        return None
    return len(ends) / max((ends[-1] - ends[0]) / WEEK, 1.0)


def _restores(records: Sequence[Record]) -> Iterator[timedelta]:
    """From the first failure after a success to the next success."""
    broken: datetime | None = None
    for record in reversed(records):
        if record.status is Status.FAILED and record.ended_at:
            broken = broken or record.ended_at
        elif record.status is Status.SUCCEEDED and record.ended_at and broken:
            yield record.ended_at - broken
            broken = None


def _slowest(records: Iterable[Record]) -> list[Slow]:
    took: dict[str, list[timedelta]] = defaultdict(list)
    for place, action, _ in _actions(records):
        if action.status is Status.SUCCEEDED and action.started_at and action.ended_at and action.approval is None:
            took[place].append(action.ended_at - action.started_at)
    slow = [Slow(place, _median(spans) or timedelta(), len(spans)) for place, spans in took.items()]
    return sorted(slow, key=lambda one: (-one.median, one.place))[:MOST]


def _flaky(records: Iterable[Record]) -> list[Flaky]:
    seen: dict[str, dict[str, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for place, action, record in _actions(records):
        if action.approval is None:
            seen[place][record.commit] |= {one.status is Status.SUCCEEDED for one in _ended(action)}
    found = [Flaky(place, sum(len(said) == 2 for said in commits.values()), len(commits)) for place, commits in seen.items()]
    return sorted((one for one in found if one.commits), key=lambda one: (-one.commits / one.of, one.place))[:MOST]


def _ended(action: ActionRecord) -> Iterator[AttemptRecord]:
    """The attempts that tell something of the action itself: it succeeded, or failed by its own doing."""
    return (one for one in action.attempts if one.status in {Status.SUCCEEDED, Status.FAILED})


def _actions(records: Iterable[Record]) -> Iterator[tuple[str, ActionRecord, Record]]:
    return (
        (f"{stage.name}/{action.name}", action, record)
        for record in records
        for stage in record.stages
        for action in stage.actions
    )


def _median(spans: Iterable[timedelta]) -> timedelta | None:
    seconds = [max(0.0, span.total_seconds()) for span in spans]
    return timedelta(seconds=median(seconds)) if seconds else None
