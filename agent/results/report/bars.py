"""The timeline of an execution: each attempt a bar, its place in percent of the whole.

Time in which nothing was done but waiting for people is cut short: else an approval that took a day would be all there is to see.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from agent.results import summary
from agent.results.record import ActionRecord, AttemptRecord, Record, StageRecord

SHORTEST = 0.4  # percent; a bar that nobody sees says nothing
CUT = 0.1  # a wait is drawn no longer than this share of all the work


class Span(NamedTuple):
    """From one moment to another."""

    start: datetime
    end: datetime


class Bar(NamedTuple):
    """One attempt. `left` and `width` are percent of the line."""

    left: float
    width: float
    status: str
    words: str


class Row(NamedTuple):
    """The bars of one action."""

    stage: str
    action: str
    bars: tuple[Bar, ...]


class Scale:
    """Moments on a line from 0 to 100. Moments outside of all spans are at the nearer end."""

    def __init__(self, work: Iterable[Span], whole: Span) -> None:
        busy = _merged(work)
        total = sum(((span.end - span.start).total_seconds() for span in busy), 0.0)
        moments = sorted({whole.start, whole.end, *(moment for span in busy for moment in span)})
        self._moments = moments
        self._places = [0.0]
        for start, end in pairwise(moments):
            seconds = (end - start).total_seconds()
            is_work = any(span.start <= start and end <= span.end for span in busy)
            self._places.append(self._places[-1] + (seconds if is_work or not total else min(seconds, CUT * total)))

    def at(self, moment: datetime) -> float:
        """The place of a moment, in percent."""
        last = len(self._moments) - 1
        after = bisect_right(self._moments, moment)
        if after == 0 or not self._places[-1]:
            return 0.0
        if after > last:
            return 100.0
        start, end = self._moments[after - 1], self._moments[after]
        share = (moment - start) / (end - start)
        return (self._places[after - 1] + share * (self._places[after] - self._places[after - 1])) / self._places[-1] * 100


def rows(record: Record) -> tuple[Row, ...]:
    """A row for each action that was started, in the order of the plan."""
    found = [(stage, action, tuple(_attempts(action, record.written_at))) for stage in record.stages for action in stage.actions]
    spans = [span for _, action, attempts in found for span, _ in attempts if action.approval is None]
    everything = [span for _, _, attempts in found for span, _ in attempts]
    if not everything:
        return ()
    whole = Span(min(span.start for span in everything), max(span.end for span in everything))
    scale = Scale(spans, whole)
    return tuple(_row(stage, action, attempts, scale) for stage, action, attempts in found if attempts)


def _row(stage: StageRecord, action: ActionRecord, attempts: Sequence[tuple[Span, AttemptRecord]], scale: Scale) -> Row:
    return Row(stage.name, action.name, tuple(_bar(span, one, scale) for span, one in attempts))


def _bar(span: Span, attempt: AttemptRecord, scale: Scale) -> Bar:
    left = min(scale.at(span.start), 100 - SHORTEST)
    width = max(scale.at(span.end) - left, SHORTEST)
    took, why = summary.duration(span.end - span.start), summary.why(attempt)
    words = f"attempt {attempt.attempt}: {summary.word(attempt.status)} in {took}{f': {why}' if why else ''}"
    return Bar(round(left, 2), round(width, 2), summary.word(attempt.status), words)


def _attempts(action: ActionRecord, now: datetime) -> Iterator[tuple[Span, AttemptRecord]]:
    """The attempts whose time is known. Of a former one the record has its end and the time of its phases."""
    for one in action.attempts:
        end = one.ended_at or (now if one.started_at else None)
        if end:
            start = one.started_at or end - timedelta(seconds=sum(one.timings.values()))
            yield Span(min(start, end), end), one


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged
