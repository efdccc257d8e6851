"""`git pipeline resume REPO.git`: go on with what a killed worker or hook left, or what the agent was never told of."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from agent.cli import asking, console
from agent.cli.asking import Desk
from agent.errors import ConfigError
from agent.results import summary
from agent.state.queue import Row
from agent.worker import wake
from agent.worker.follow import Followed, Output, follow, let_go
from agent.worker.intake import Admission, Intake


@click.command(short_help="go on with what a killed worker left")
@click.argument("repository", required=False)
@click.option("-f", "--follow", "follows", is_flag=True, help="show what goes on until nothing is left to see")
def command(repository: str | None, follows: bool) -> None:
    """Go on with everything in REPOSITORY, also with pushes that no hook took in: start what they would have started.

    Safe at any time and as often as one likes: what ended is not run again, what runs is found again. Nothing is removed.
    """
    with asking.desk(repository) as desk:
        intake = Intake(desk.git, desk.database, lambda: datetime.now(UTC))
        for line in _admitted(intake.missed()):
            click.echo(line)
        active = desk.queue.active()
        for line in _in_flight(active):
            click.echo(line)
        for line in _broken(desk):
            click.echo(line)
        waiting = [_followed(desk.home, row) for row in active]
        started = desk.wake()
        _require_life(desk, started)
        click.echo(f"{'a worker was started' if started else 'the worker was woken'}; its log is {desk.log}")
        shown = [one for one, is_over in waiting if started or not is_over]
        if follows and shown:
            sys.stdout.flush()
            follow(str(desk.home), shown, Output(sys.stdout.fileno()), time.monotonic, time.sleep)


def _admitted(admission: Admission) -> Iterator[str]:
    for started in admission.started:
        yield f"{started.label} queued: a push to {summary.place(started.ref)} had not been taken in"
    yield from admission.lines


def _in_flight(active: tuple[Row, ...]) -> Iterator[str]:
    if not active:
        yield "nothing is in flight"
        return
    rows = [(asking.label(row), row.status, summary.place(row.ref), row.commit[:8]) for row in active]
    yield "in flight:"
    yield from (f"  {'  '.join(cells)}" for cells in console.table(rows))


def _broken(desk: Desk) -> Iterator[str]:
    """What is in flight goes on all the same."""
    try:
        desk.require_worker()
    except ConfigError as error:
        yield f"nothing new starts: {error}"


def _require_life(desk: Desk, worker: int) -> None:
    """Wait until the worker that was started listens, or has found nothing to do. Raises EnvironmentFault if it cannot run."""
    give_up = time.monotonic() + asking.PATIENCE
    while worker and not wake.is_heard(str(desk.home)) and time.monotonic() < give_up:
        worker = desk.still_lives(worker)
        time.sleep(asking.PAUSE)


def _followed(home: Path, row: Row) -> tuple[Followed, bool]:
    """The execution with what its feed still has to say, and whether that is nothing: it ended, or waits for people."""
    offset, path = let_go(str(home), row.id), home / "executions" / row.id / "feed"
    return Followed(row.id, asking.label(row), offset), 0 < offset == path.stat().st_size
