"""The note that people read in `git log --notes=pipeline`: short, plain text, made of the records of one commit alone.

Nothing in it depends on when it was written, so the same records give the same text.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from agent.model.outcome import Status
from agent.model.value import Value
from agent.results import summary
from agent.results.record import ActionRecord, ConditionRecord, Record, StageRecord

WIDTH = 100  # of wrapped lines; columns of a table may stand out
NAME = 44  # the most that the column of names is widened for
FAILURES = 5  # explained at length; the others are counted
EARLIER = 10  # executions of a pipeline on this commit before the last one, a line each


class Row(Value, frozen=True):
    """A line of the table: a stage (depth 1) or an action (depth 2)."""

    depth: int
    name: str
    word: str
    time: str
    remark: str = ""


def render(records: Iterable[Record]) -> str:
    """The note of a commit: each pipeline's last execution in full, those before it in a line. Empty without records."""
    ordered = sorted(records, key=lambda record: (record.pipeline, record.number))
    blocks = (tuple(_block(tuple(group))) for _, group in groupby(ordered, key=lambda record: record.pipeline))
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n" if ordered else ""


def _block(records: Sequence[Record]) -> Iterator[str]:
    *former, last = records
    yield from lines(last)
    if former:
        yield ""
        yield from (f"  before: {headline(record)}  {summary.when(record.created_at)}" for record in former[: -EARLIER - 1 : -1])
        if len(former) > EARLIER:
            yield f"  … and {len(former) - EARLIER} more; git pipeline status {last.commit[:12]}"


def headline(record: Record) -> str:
    """release #42  Succeeded  in 1m12s  (push to main by alice)"""
    took = summary.duration(summary.spent(record.started_at, record.ended_at))
    since = f"since {summary.when(record.started_at or record.created_at)}"
    time = (f"in {took}" if took else "") if record.ended_at else since
    why = f"({summary.cause(record.trigger, record.ref, record.actor, record.rollback)})"
    return "  ".join(part for part in (record.label, summary.execution_word(record), time, why) if part)


def lines(record: Record) -> Iterator[str]:
    """One execution in full."""
    yield headline(record)
    if record.message and not _told_by_stages(record):
        yield f"  {summary.clean(record.message)}"
    if record.stopped_by:
        yield f"  stopped by {summary.clean(record.stopped_by)}"
    if record.variables:
        shown = ", ".join(f"{name}={summary.clean(value, 60)}" for name, value in record.variables.items())
        yield from _wrapped(f"variables: {shown}")
    yield from _table(tuple(row for stage in record.stages if stage.arrived_at for row in rows(stage)))
    yield from _unreached(record)
    yield from _audit(record)
    for block in blocks(record):
        yield ""
        yield from block


def blocks(record: Record) -> Iterator[Iterator[str]]:
    """What asks for a person: open questions with their commands, and failures with the end of their log."""
    yield from _questions(record)
    yield from _failures(record)


def _audit(record: Record) -> Iterator[str]:
    """Who was given secrets, and under which configuration of the operator it all ran."""
    given = [
        f"{', '.join(action.secrets)} to {stage.name}/{action.name}"
        for stage in record.stages
        for action in stage.actions
        if action.secrets
    ]
    if given:
        yield from _wrapped(f"secrets given: {'; '.join(given)}")
    if record.policy:
        yield f"  by policy {record.policy[:12]} of the operator"


def _told_by_stages(record: Record) -> bool:
    failed = any(stage.status is Status.FAILED for stage in record.stages)
    return record.status is Status.SUCCEEDED or (record.status is Status.FAILED and failed)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    name = min(NAME, max(2 * row.depth + len(row.name) for row in rows))
    word = max(len(row.word) for row in rows)
    time = max(len(row.time) for row in rows)
    for row in rows:
        label = "  " * row.depth + row.name
        yield f"{label:<{name}}  {row.word:<{word}}  {row.time:>{time}}  {row.remark}".rstrip()


def rows(stage: StageRecord) -> Iterator[Row]:
    """A stage that was reached, what of its conditions matters, and its actions."""
    took = summary.duration(summary.spent(stage.entered_at, stage.ended_at))
    yield Row(1, stage.name, summary.stage_word(stage), took, _stage_remark(stage))
    for condition in stage.conditions:
        if condition.status != Status.SUCCEEDED.value:
            yield Row(2, condition.gate, _condition_word(condition), "", _condition_remark(condition))
    if stage.entered_at:
        over = stage.status is not None and stage.status.is_final
        yield from (_action_row(action, over) for action in stage.actions)


def _stage_remark(stage: StageRecord) -> str:
    parts = [f"attempt {stage.attempt}" if stage.attempt > 1 else ""]
    if stage.status is None:
        parts.append(f"to be entered, since {summary.when(stage.arrived_at)}")
    elif stage.status is not Status.SUCCEEDED:
        parts.append(summary.clean(stage.message, 100))
    if stage.rolled_back_by:
        parts.append(f"rolled back by #{stage.rolled_back_by}")
    return "; ".join(part for part in parts if part)


def _condition_word(condition: ConditionRecord) -> str:
    return "In progress" if condition.status == Status.IN_PROGRESS.value else condition.status


def _condition_remark(condition: ConditionRecord) -> str:
    bad = (rule for rule in condition.rules if rule.status is not Status.SUCCEEDED and rule.message)
    said = "; ".join(f"{rule.name or rule.provider}: {summary.clean(rule.message, 100)}" for rule in bad)
    by = f"by {summary.clean(condition.overridden_by)}" if condition.overridden_by else ""
    return "; ".join(part for part in (by, said) if part)


def _action_row(action: ActionRecord, over: bool) -> Row:
    if action.status is None:
        return Row(2, summary.clean(action.name), "Didn't run" if over else "Pending", "")
    took = summary.duration(summary.spent(action.started_at, action.ended_at))
    return Row(2, summary.clean(action.name), summary.action_word(action), took, "; ".join(_remarks(action)))


def _remarks(action: ActionRecord) -> Iterator[str]:
    if action.attempt > 1:
        before = next((why for former in reversed(action.former) if (why := summary.why(former))), "")
        yield f"attempt {action.attempt}" + (f" (before: {before})" if before else "")
    if action.approval and (action.approval.answers or summary.is_waiting(action)):
        yield from (summary.answer(given) for given in action.approval.answers)
        if summary.is_waiting(action):
            yield f"for {summary.asked(action.approval.groups)}"
    elif why := summary.why(action):
        yield why + (", but the stage goes on" if action.continue_on_error else "")
    elif action.status is Status.IN_PROGRESS:
        yield f"since {summary.when(action.started_at)}"
    if action.tests:
        yield summary.tests(action.tests)
    if action.artifacts:
        yield ", ".join(map(summary.artifact, action.artifacts))


def _unreached(record: Record) -> Iterator[str]:
    names = [stage.name for stage in record.stages if not stage.arrived_at]
    if names and record.stages[0].arrived_at:
        what = "not reached" if record.status.is_final else "still to come"
        yield from _wrapped(f"{what}: {', '.join(names)}")


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False)


def _questions(record: Record) -> Iterator[Iterator[str]]:
    for stage in record.stages:
        waiting = [action for action in stage.actions if summary.is_waiting(action)]
        yield from (_question(record, stage, action, len(waiting) > 1) for action in waiting)


def _question(record: Record, stage: StageRecord, action: ActionRecord, named: bool) -> Iterator[str]:
    if not action.approval:
        return
    yield f"  {stage.name}/{action.name} waits for {summary.question(action.approval)}"
    said = "  ".join(summary.clean(text) for text in (action.approval.message, action.approval.url) if text.strip())
    if said:
        yield f"    {said}"
    which = action.name if named else ""
    yield f"    to approve: {summary.steps(record.handle, stage.name, record.commit, action=which)}"
    yield f"    to reject:  {summary.REJECT}"


def _failures(record: Record) -> Iterator[Iterator[str]]:
    failed = [
        (stage, action)
        for stage in record.stages
        for action in stage.actions
        if action.status is Status.FAILED and not (action.approval and action.approval.answers)
    ]
    yield from (_failure(record, stage, action) for stage, action in failed[:FAILURES])
    if len(failed) > FAILURES:
        yield iter((f"  … and {len(failed) - FAILURES} more failed; git pipeline log {summary.quoted(record.handle)}",))


def _failure(record: Record, stage: StageRecord, action: ActionRecord) -> Iterator[str]:
    yield f"  {stage.name}/{summary.clean(action.name)}: {summary.why(action) or 'failed'}"
    yield from (f"    {summary.clean(line)}" for line in _more(action))
    if action.tests and action.tests.failed:
        yield from _wrapped(f"failed tests: {', '.join(summary.clean(name, 80) for name in action.tests.failed)}", "    ")
    if action.log and action.log.bytes:
        yield from (f"    | {summary.line(line)}".rstrip() for line in action.log.tail)
        where = summary.quoted(f"{stage.name}/{action.name}")
        yield f"    log: git pipeline log {record.handle} {where}"


def _more(action: ActionRecord) -> list[str]:
    """The lines of the message that the table did not show."""
    said = action.message.strip().split("\n")
    return [line for line in (said if summary.clean(said[0], 100) != summary.why(action) else said[1:]) if line.strip()]
