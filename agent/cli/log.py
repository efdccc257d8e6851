"""`git pipeline log`: what the scripts of an execution printed."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import click

from agent.cli import console, poll
from agent.cli.poll import Poll
from agent.cli.source import Chosen, Source, choose, resolve
from agent.cli.status import opened
from agent.errors import UsageError
from agent.model.ids import attempt_id
from agent.model.outcome import Status
from agent.model.value import Value
from agent.results import summary
from agent.results.record import AttemptRecord, Record

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Piece(Value, frozen=True):
    """What one attempt printed, under its heading."""

    heading: str
    body: bytes
    state: str = ""  # the part of the heading that changes as it goes on


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    if span := re.fullmatch(r"(\d{1,6})([smhd])", value):
        return datetime.now(UTC) - timedelta(seconds=int(span[1]) * _UNITS[span[2]])
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time: write 10m, 2h, 3d or 2026-11-30T12:00", context, parameter) from None
    return moment if moment.tzinfo else moment.astimezone()


@click.command(short_help="show what the scripts printed")
@click.argument("execution", default="")
@click.argument("action", default="")
@click.option("-f", "--follow", "follows", is_flag=True, help="go on with what comes, until it has ended")
@click.option("--failed", "only_failed", is_flag=True, help="only of the actions that failed")
@click.option(
    "--since", callback=_moment, metavar="TIME", help="only what has ended since: 90s, 10m, 2h, 3d, or 2026-11-30T12:00"
)
@click.option("--attempt", type=click.IntRange(min=1), help="this attempt; without it the last one of each action")
@click.option("--repo", metavar="REPO.git", help="on the server: read the whole logs, also of what runs")
@poll.interval
@click.option("--no-fetch", is_flag=True, help="show what was fetched before")
@click.option("--no-pager", is_flag=True, help="never page")
def command(
    execution: str, action: str, follows: bool, only_failed: bool, since: datetime | None, attempt: int | None,
    repo: str | None, interval: float | None, no_fetch: bool, no_pager: bool,
) -> None:  # fmt: skip
    """Show what an execution printed.

    EXECUTION is a number (42), a pipeline and a number (release#42), an id, a pipeline or a revision (then its last one);
    without it the last one of HEAD. ACTION is stage/action, an action or a stage.
    """
    source = opened(repo, datetime.now(UTC), quick=no_fetch, logs=True)
    record = resolve(source, execution)
    if follows:
        _follow(Poll(source, record, repo, interval), lambda one: _wanted(one, action, only_failed, since))
        return
    chosen = _wanted(record, action, only_failed, since)
    if not chosen:
        what = "failed" if only_failed else "has ended since then"
        click.echo(f"git pipeline: nothing of {record.label} {what}", err=True)
        return
    pieces = tuple(_pieces(source, record, chosen, attempt))
    if not pieces:
        _nothing(record, chosen, attempt)
        return
    console.show(_joined(pieces), "" if no_pager else console.pager(os.environ), os.environ)


def _wanted(record: Record, action: str, only_failed: bool, since: datetime | None) -> tuple[Chosen, ...]:
    return tuple(
        (stage, one)
        for stage, one in choose(record, action)
        if not (only_failed and one.status is not Status.FAILED) and not (since and (one.ended_at or datetime.now(UTC)) < since)
    )


def _follow(looks: Poll, wanted: Callable[[Record], tuple[Chosen, ...]]) -> None:
    """Print what there is, and what comes, until the execution has ended. In a clone a log comes with the end of its action."""
    told: dict[str, int] = {}
    heading = ""
    record = looks.record
    while True:
        for piece in _pieces(looks.source, record, wanted(record), None):
            place = piece.heading.partition(piece.state)[0]
            whole = piece.body if record.status.is_final else piece.body[: piece.body.rfind(b"\n") + 1]
            fresh = whole[told.get(place, 0) :]
            if fresh:
                sys.stdout.buffer.write((b"" if heading == place else place.rstrip().encode() + b"\n") + fresh)
                told[place], heading = len(whole), place
        sys.stdout.buffer.flush()
        if record.status.is_final:
            return
        record = looks.again(logs=True)


def _pieces(source: Source, record: Record, chosen: tuple[Chosen, ...], attempt: int | None) -> Iterator[Piece]:
    wanted = {}
    for stage, action in chosen:
        for one in action.attempts:
            if one.attempt == (attempt or action.attempt) and one.status is not None:
                wanted[attempt_id(record.id, stage.name, action.name, one.attempt)] = _heading(
                    record, stage.name, action.name, one
                )
    kept = source.logs(record, list(wanted))
    return (Piece(heading, kept[name], state) for name, (heading, state) in wanted.items() if kept.get(name))


def _heading(record: Record, stage: str, action: str, one: AttemptRecord) -> tuple[str, str]:
    """The heading, and the part of it that changes as the attempt goes on."""
    again = f"  attempt {one.attempt}" if one.attempt > 1 else ""
    why = summary.why(one)
    ended = f"{summary.word(one.status)}{f': {why}' if why else ''}"
    return f"==> {record.label}  {stage}/{summary.clean(action)}{again}  {ended} <==", f"  {ended} <=="


def _joined(pieces: tuple[Piece, ...]) -> bytes:
    """One log alone stands for itself; several carry their headings."""
    if len(pieces) == 1:
        return pieces[0].body
    return b"\n".join(piece.heading.encode() + b"\n" + piece.body for piece in pieces)


def _nothing(record: Record, chosen: tuple[Chosen, ...], attempt: int | None) -> None:
    if attempt and not any(one.attempt == attempt for _, action in chosen for one in action.attempts):
        highest = max((action.attempt for _, action in chosen), default=0)
        raise UsageError(f"{record.label}: there is no attempt {attempt}", hint=f"the last one is {highest}" if highest else "")
    runs = [f"{stage.name}/{action.name}" for stage, action in chosen if action.status is Status.IN_PROGRESS]
    if runs:
        more = "its log comes with its end; on the server `git pipeline log --repo` shows it as it grows"
        click.echo(f"git pipeline: {record.label}: {runs[0]} runs; {more}", err=True)
    else:
        click.echo(f"git pipeline: {record.label} printed nothing", err=True)
