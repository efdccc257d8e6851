"""An execution as a tree on the terminal: stages and their actions, with states, times and what is worth a remark."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from agent.cli.console import BOLD, DIM, Paint, cut
from agent.model.outcome import Status
from agent.results import note, summary
from agent.results.record import ActionRecord, Record, StageRecord

BAR = 10  # columns
Usual = Mapping[tuple[str, str], timedelta]  # by stage and action


def lines(record: Record, now: datetime, width: int | None, paint: Paint, usual: Usual | None = None) -> Iterator[str]:
    """A line for each stage and action; with `usual` what runs has a bar, as far as its usual time tells."""
    shown = _still(record, now)
    rows = [(row, stage) for stage in shown.stages for row in (note.rows(stage) if stage.arrived_at else _ahead(shown, stage))]
    if not rows:
        return
    depth = max(len(row.name) + 3 * (row.depth - 1) for row, _ in rows)
    name, word, time = (min(depth, note.NAME), max(len(row.word) for row, _ in rows), max(len(row.time) for row, _ in rows))
    for index, (row, stage) in enumerate(rows):
        is_last = index + 1 == len(rows) or rows[index + 1][0].depth == 1
        branch = "" if row.depth == 1 else "└─ " if is_last else "├─ "
        bar = _bar(stage, row, usual, now) if usual is not None else ""
        head = f"{branch}{row.name:<{max(0, name - len(branch))}}  "
        rest = cut("  ".join(part for part in (bar, row.remark) if part), width and max(10, width - len(head) - word - time - 4))
        plain = f"{row.word:<{word}}"
        yield (
            (paint(head, BOLD) if row.depth == 1 else paint(branch, DIM) + head[len(branch) :])
            + paint.status(plain, row.word)
            + f"  {row.time:>{time}}  {rest}".rstrip()
        ).rstrip()


def _still(record: Record, now: datetime) -> Record:
    """What goes on counts up to now."""

    def action(one: ActionRecord) -> ActionRecord:
        is_on = one.status is Status.IN_PROGRESS and one.ended_at is None
        return msgspec.structs.replace(one, ended_at=now) if is_on else one

    def stage(one: StageRecord) -> StageRecord:
        actions = tuple(map(action, one.actions))
        is_on = one.entered_at and not one.ended_at
        return msgspec.structs.replace(one, actions=actions, ended_at=now if is_on else one.ended_at)

    return record if record.status.is_final else msgspec.structs.replace(record, stages=tuple(map(stage, record.stages)))


def _ahead(record: Record, stage: StageRecord) -> Iterator[note.Row]:
    word = "Didn't run" if record.status.is_final else "Pending"
    yield note.Row(1, stage.name, word, "", summary.many(len(stage.actions), "action"))


def _bar(stage: StageRecord, row: note.Row, usual: Usual | None, now: datetime) -> str:
    """How far an action that runs is, going by how long it took before."""
    action = next((one for one in stage.actions if row.depth == 2 and summary.clean(one.name) == row.name), None)
    if not usual or not action or action.status is not Status.IN_PROGRESS or not action.started_at or action.approval:
        return ""
    before = usual.get((stage.name, action.name))
    if not before or before.total_seconds() <= 0:
        return ""
    share = min(1.0, (now - action.started_at) / before)
    full = int(share * BAR)
    return f"{'█' * full}{'░' * (BAR - full)} {int(share * 100)}% of {summary.duration(before)}"


def durations(run: Record) -> dict[tuple[str, str], timedelta]:
    """How long the last attempt of each action that ended took, by stage and action."""
    return {
        (stage.name, action.name): action.ended_at - action.started_at
        for stage in run.stages
        for action in stage.actions
        if action.started_at and action.ended_at
    }
