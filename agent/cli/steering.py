"""Where the operator's verbs are carried out: at the desk of a repository on this machine, or from a clone by a signed tag."""

import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import NamedTuple

import click

from agent.cli.asking import Desk, asker, desk, named
from agent.cli.remote import Clone, discover
from agent.cli.source import resolve
from agent.cli.tagging import Seat, opened
from agent.errors import UsageError
from agent.model.control import Demand
from agent.model.ids import PipelineName, StageName
from agent.results.record import Record

KNOWN = 50  # executions that changed last, whose stages are known in a clone


class How(NamedTuple):
    """Where and in whose name somebody asks: what the shared options say."""

    repo: str | None = None
    reason: str = ""
    by: str | None = None
    remote: str | None = None
    dry_run: bool = False

    @property
    def is_live(self) -> bool:
        """Whether the worker is asked straight: --repo, or the repository around us has the agent. Raises UsageError."""
        live = self.repo is not None or (Path(discover(os.environ).git_dir) / "pipeline" / "state.db").is_file()
        if live and (self.remote or self.dry_run):
            raise UsageError("--remote and --dry-run are for a clone, where a signed tag is pushed", hint="leave them out here")
        if not live and self.by:
            raise UsageError("in a clone the key tells who asks, not --as", hint="name the repository on the server with --repo")
        return live


class Answered(NamedTuple):
    """What the worker of a repository on this machine said yes to."""

    desk: Desk
    request: int
    record: Record
    demand: Demand


def options(command: Callable[..., int]) -> Callable[..., int]:
    """The options that all verbs of the operator share, given to the command as one `how`."""

    @wraps(command)
    def called(*, repo: str | None, reason: str, by: str | None, remote: str | None, dry_run: bool, **given: object) -> int:
        return command(how=How(repo, reason, by, remote, dry_run), **given)

    for option in (
        click.option("--remote", help="in a clone: where to push the tag  [default: pipeline.remote, or origin]"),
        click.option("--dry-run", is_flag=True, help="in a clone: print the plain git commands, and do nothing"),
        click.option("--as", "by", metavar="NAME", help="on the server: who asks  [default: the user of this machine]"),
        click.option("-m", "--message", "reason", metavar="REASON", default="", help="why, for the record"),
        click.option("--repo", metavar="REPO.git", help="on the server: the bare repository  [default: the one around us]"),
    ):
        called = option(called)
    return called


def steer(how: How, words: str, make: Callable[[Record], Demand], told: Callable[[Answered], str]) -> int:
    """Ask for something to be done with the execution that `words` mean; `told` says what the worker has agreed to.

    The exit code. Raises AgentError if it is not done.
    """
    if how.is_live:
        with desk(how.repo) as place:
            record, _ = place.execution(words)
            demand = make(record)
            answered = Answered(place, place.ask(demand, asker(how.by, how.reason)), record, demand)
            click.echo(told(answered))
        return 0
    seat, clone = opened(how.remote)
    record = resolve(clone, words)
    tag = seat.tag(make(record), record.commit, how.reason, record.id)
    return seat.offer(tag, dry_run=how.dry_run)


def turn(how: How, pipeline: str, stage: str, make: Callable[[PipelineName, StageName], Demand], state: str) -> int:
    """Close or open the transition into a stage; `state` is the word for it. The exit code. Raises AgentError."""
    if how.is_live:
        with desk(how.repo) as place:
            name, into = place.transition(pipeline, stage)
            place.ask(make(name, into), asker(how.by, how.reason))
        click.echo(f"the transition into {name}/{into} is {state}")
        return 0
    seat, clone = opened(how.remote)
    records = [record for record in clone.recent(KNOWN) if record.pipeline == pipeline] or list(_last(clone, pipeline))
    known = {record.pipeline: tuple(one.name for one in record.stages) for record in reversed(records)}
    name, into = named(known or _heard_of(clone), pipeline, stage)
    return seat.offer(seat.tag(make(name, into), _commit(seat, records), how.reason), dry_run=how.dry_run)


def _last(clone: Clone, pipeline: str) -> Iterable[Record]:
    record = clone.latest(pipeline)
    return (record,) if record else ()


def _heard_of(clone: Clone) -> dict[PipelineName, tuple[StageName, ...]]:
    """For the hint."""
    return {record.pipeline: () for record in clone.recent(KNOWN)}


def _commit(seat: Seat, records: Iterable[Record]) -> str:
    """A commit of the pipeline that is here: the tag has to be at some commit, and no commit may travel with it."""
    for record in records:
        if seat.has(record.commit):
            return record.commit
    raise UsageError("no commit that the pipeline ran for is in this clone", hint=f"git fetch {seat.remote}")
