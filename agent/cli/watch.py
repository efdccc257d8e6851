"""`git pipeline watch`: an execution as it goes on: a live tree on a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from agent.cli import console, poll, tree
from agent.cli.live import Server
from agent.cli.poll import Poll
from agent.cli.source import Source, resolve
from agent.cli.status import opened
from agent.model.ids import attempt_id
from agent.model.outcome import Status
from agent.results import note, summary
from agent.results.record import Record

LAST = 3  # lines of what an action printed last
USUAL = 50  # executions among which the last success is looked for


@click.command(short_help="watch an execution as it goes on")
@click.argument("execution", default="")
@click.option("--repo", metavar="REPO.git", help="on the server: watch the live state, with what the scripts print")
@poll.interval
def command(execution: str, repo: str | None, interval: float | None) -> int:
    """Watch EXECUTION (as for `git pipeline log`) until it has ended: a tree with times, bars by how long it took the last time.

    Ctrl-C ends the watching, never the execution. Exit code 0 if it has succeeded, else 1.
    """
    source = opened(repo, datetime.now(UTC), quick=False, logs=False)
    first = resolve(source, execution)
    looks = Poll(source, first, repo, interval)
    last = _live(looks, _usual(source, first)) if sys.stdout.isatty() else _plainly(looks)
    return int(last.status is not Status.SUCCEEDED)


def _usual(source: Source, one: Record) -> tree.Usual:
    former = (other for other in source.recent(USUAL) if other.pipeline == one.pipeline and other.status is Status.SUCCEEDED)
    return tree.durations(next((other for other in former if other.id != one.id), one))


def _plainly(looks: Poll) -> Record:
    """A line whenever the state of a stage or an action changes."""
    told: dict[str, str] = {}
    record = looks.record
    while True:
        for place, line in _states(record):
            if told.get(place) != line:
                told[place] = line
                click.echo(line)
        sys.stdout.flush()
        if record.status.is_final:
            return record
        record = looks.again(logs=False)


def _states(record: Record) -> Iterator[tuple[str, str]]:
    for stage in record.stages:
        for row in note.rows(stage) if stage.arrived_at else ():
            place = stage.name if row.depth == 1 else f"{stage.name}/{row.name}"
            if row.word not in {"Pending", "Didn't run"}:
                took = f" in {row.time}" if row.time else ""
                yield place, f"{place}  {row.word.lower()}{took}{f': {row.remark}' if row.remark else ''}"
    yield "", f"{record.label}  {summary.execution_word(record).lower()}"


def _live(looks: Poll, usual: tree.Usual) -> Record:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    paint = console.Paint(console.colours(os.environ, sys.stdout))
    screen = Console(no_color=not paint.on, highlight=False)
    with Live(console=screen, auto_refresh=False, transient=False, vertical_overflow="visible") as live:
        while True:
            record = looks.record
            now = datetime.now(UTC)
            lines = [
                note.headline(record),
                *tree.lines(record, now, screen.width - 1, paint, usual),
                *_output(looks.source, record, paint),
            ]
            live.update(Text.from_ansi("\n".join(lines), no_wrap=True), refresh=True)
            if record.status.is_final:
                return record
            looks.again(logs=False)


def _output(source: Source, record: Record, paint: console.Paint) -> Iterator[str]:
    """The last lines of what runs; only the server has them before the end."""
    if not isinstance(source, Server):
        return
    running = {
        attempt_id(record.id, stage.name, action.name, action.attempt): f"{stage.name}/{summary.clean(action.name)}"
        for stage in record.stages
        for action in stage.actions
        if action.status is Status.IN_PROGRESS
    }
    for name, body in source.logs(record, list(running)).items():
        yield paint(running[name], console.DIM)
        yield from (f"  {summary.line(line)}" for line in body[-4000:].decode(errors="replace").splitlines()[-LAST:])
