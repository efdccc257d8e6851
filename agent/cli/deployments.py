"""`git pipeline deployments`: what went to which hosts, and, asked of the hosts themselves, what they run now."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import click

from agent.cli import console
from agent.cli.asking import home
from agent.cli.status import opened
from agent.deploy import commands
from agent.errors import EnvironmentFault, UsageError
from agent.model.host import Host
from agent.model.outcome import Status
from agent.results import summary
from agent.results.record import ActionRecord, AttemptRecord, Record
from agent.worker.places import Directories

if TYPE_CHECKING:
    from agent.executors.fleet import Fleet

_LOOK_BACK = 200  # executions that are read to find deployments
_SHORT = 14  # characters of a release that people are shown


class Deployment(NamedTuple):
    """One attempt to deploy, as the record has it."""

    at: datetime
    group: str
    path: str
    label: str
    status: Status
    release: str
    message: str


@click.command(short_help="show what was deployed where")
@click.argument("group", default="")
@click.option(
    "--ask", is_flag=True, help="on the server: ask each host what it runs now; exit code 1 if it should be something else"
)
@click.option("--repo", metavar="REPO.git", help="on the server: read the live state of this repository")
@click.option("-n", "limit", type=click.IntRange(min=1), default=10, show_default=True, help="how many deployments of a group")
@click.option("--no-fetch", is_flag=True, help="show what was fetched before")
def command(group: str, ask: bool, repo: str | None, limit: int, no_fetch: bool) -> int:
    """Show the deployments to GROUP, or to all groups, newest first."""
    now = datetime.now(UTC)
    records = opened(repo, now, quick=no_fetch, logs=False).recent(_LOOK_BACK)
    found = sorted((one for record in records for one in deployments(record) if group in {"", one.group}), reverse=True)
    if not found:
        click.echo(f"no deployments{f' to {group}' if group else ''} yet", err=True)
        return 0
    paint = console.Paint(console.colours(os.environ, sys.stdout))
    groups = dict.fromkeys((one.group, one.path) for one in found)
    if ask:
        return _ask(repo, {place: _expected(found, *place) for place in groups})
    for place in groups:
        history = [one for one in found if (one.group, one.path) == place][:limit]
        click.echo(paint(f"{place[0]}:{place[1]}", console.BOLD), color=paint.on)
        for line in lines(history, now, paint):
            click.echo(f"  {line}", color=paint.on)
    return 0


def deployments(record: Record) -> Iterator[Deployment]:
    """The attempts to deploy of one execution that got as far as to know their hosts."""
    for stage in record.stages:
        for action in stage.actions:
            if action.kind == "deploy":
                yield from _attempts(record, action)


def _attempts(record: Record, action: ActionRecord) -> Iterator[Deployment]:
    one: AttemptRecord
    for one in action.attempts:
        told = one.resolved
        if one.status and {"group", "path", "release"} <= told.keys():
            at = one.ended_at or one.started_at or record.created_at
            yield Deployment(at, told["group"], told["path"], record.label, one.status, told["release"], summary.why(one))


def lines(history: Sequence[Deployment], now: datetime, paint: console.Paint) -> list[str]:
    """A table of deployments."""
    rows = [
        (console.since(one.at, now), one.label, summary.word(one.status), one.release[:_SHORT], one.message) for one in history
    ]
    padded = console.table(rows)
    return [
        "  ".join([*cells[:2], paint.status(cells[2], row[2]), *cells[3:]]).rstrip()
        for cells, row in zip(padded, rows, strict=True)
    ]


def _expected(found: Sequence[Deployment], group: str, path: str) -> str:
    """The release of the last deployment that succeeded; empty if none did."""
    return next((one.release for one in found if (one.group, one.path) == (group, path) and one.status is Status.SUCCEEDED), "")


def _ask(repo: str | None, places: dict[tuple[str, str], str]) -> int:
    from agent.executors.fleet import THREADS
    from agent.worker.configured import load_config
    from agent.worker.inventory import fleet_of  # paramiko

    directories = Directories(home(repo).parent)
    config = load_config(directories)
    fleet = fleet_of(directories, config, os.environ, "probe")
    drifted = 0
    for (group, path), expected in places.items():
        if group not in config.hosts:
            raise UsageError(f"there is no host group {group} any more", hint="it is gone from [hosts] in config.toml")
        click.echo(f"{group}:{path}")
        hosts = fleet.hosts(group)
        with ThreadPoolExecutor(min(THREADS, len(hosts))) as pool:
            asked = [pool.submit(_state, fleet, group, host, path, expected) for host in hosts]
            for line, is_well in (one.result() for one in asked):
                click.echo(f"  {line}")
                drifted += not is_well
    fleet.close()
    return 1 if drifted else 0


def _state(fleet: "Fleet", group: str, host: Host, path: str, expected: str) -> tuple[str, bool]:
    """What a host says of itself, and whether it is what it should be."""
    from agent.actions.target import SshHost

    try:
        said = SshHost(host, fleet.on(group, host)).call(commands.probe(path, "none"))
    except EnvironmentFault as fault:
        return f"{host.name}  {fault.message}", False
    found = commands.parse_probe(said.output)
    if not found.current:
        return f"{host.name}  nothing is deployed there", not expected
    status, label = found.status.get("status", "unknown"), found.status.get("label", "")
    told = f"{host.name}  {found.current[:_SHORT]}  {label}  {status}" + (f"  lock: {found.lock.strip()}" if found.lock else "")
    if found.current == expected and status == "succeeded":
        return told, True
    return f"{told}  DRIFT: should run {expected[:_SHORT] or 'nothing'}", False
