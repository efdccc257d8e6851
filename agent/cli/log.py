"""`git pipeline log`: what the scripts of an execution printed."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from agent.cli import console
from agent.cli.source import Chosen, Source, choose, resolve
from agent.cli.status import opened
from agent.errors import UsageError
from agent.model.ids import attempt_id
from agent.model.outcome import Status
from agent.model.value import Value
from agent.results import summary
from agent.results.record import AttemptRecord, Record


class Piece(Value, frozen=True):
    """What one attempt printed, under its heading."""

    heading: str
    body: bytes


@click.command(short_help="show what the scripts printed")
@click.argument("execution", default="")
@click.argument("action", default="")
@click.option("--attempt", type=click.IntRange(min=1), help="this attempt; without it the last one of each action")
@click.option("--repo", metavar="REPO.git", help="on the server: read the whole logs, also of what runs")
@click.option("--no-fetch", is_flag=True, help="show what was fetched before")
@click.option("--no-pager", is_flag=True, help="never page")
def command(execution: str, action: str, attempt: int | None, repo: str | None, no_fetch: bool, no_pager: bool) -> None:
    """Show what an execution printed.

    EXECUTION is a number (42), a pipeline and a number (release#42), an id, a pipeline or a revision (then its last one);
    without it the last one of HEAD. ACTION is stage/action, an action or a stage.
    """
    source = opened(repo, datetime.now(UTC), quick=no_fetch, logs=True)
    record = resolve(source, execution)
    chosen = choose(record, action)
    pieces = tuple(_pieces(source, record, chosen, attempt))
    if not pieces:
        _nothing(record, chosen, attempt)
        return
    console.show(_joined(pieces), "" if no_pager else console.pager(os.environ), os.environ)


def _pieces(source: Source, record: Record, chosen: tuple[Chosen, ...], attempt: int | None) -> Iterator[Piece]:
    wanted = {}
    for stage, action in chosen:
        for one in (*action.former, action):
            if one.attempt == (attempt or action.attempt) and one.status is not None:
                wanted[attempt_id(record.id, stage.name, action.name, one.attempt)] = _heading(
                    record, stage.name, action.name, one
                )
    kept = source.logs(record, list(wanted))
    return (Piece(heading, kept[name]) for name, heading in wanted.items() if kept.get(name))


def _heading(record: Record, stage: str, action: str, one: AttemptRecord) -> str:
    again = f"  attempt {one.attempt}" if one.attempt > 1 else ""
    why = summary.why(one)
    ended = f"{summary.word(one.status)}{f': {why}' if why else ''}"
    return f"==> {record.label}  {stage}/{summary.clean(action)}{again}  {ended} <=="


def _joined(pieces: tuple[Piece, ...]) -> bytes:
    """One log alone stands for itself; several carry their headings."""
    if len(pieces) == 1:
        return pieces[0].body
    return b"\n".join(piece.heading.encode() + b"\n" + piece.body for piece in pieces)


def _nothing(record: Record, chosen: tuple[Chosen, ...], attempt: int | None) -> None:
    if attempt and not any(one.attempt == attempt for _, action in chosen for one in (*action.former, action)):
        highest = max((action.attempt for _, action in chosen), default=0)
        raise UsageError(f"{record.label}: there is no attempt {attempt}", hint=f"the last one is {highest}" if highest else "")
    runs = [f"{stage.name}/{action.name}" for stage, action in chosen if action.status is Status.IN_PROGRESS]
    if runs:
        more = "its log comes with its end; on the server `git pipeline log --repo` shows it as it grows"
        click.echo(f"git pipeline: {record.label}: {runs[0]} runs; {more}", err=True)
    else:
        click.echo(f"git pipeline: {record.label} printed nothing", err=True)
