"""`git pipeline approvals`: which approvals wait, and which of them for me."""

import os
import sys
from collections.abc import Collection
from datetime import UTC, datetime

import click

from agent.cli import console, status
from agent.cli.answering import Waiting, waiting
from agent.cli.remote import client, discover
from agent.cli.source import Source
from agent.cli.steering import How
from agent.cli.tagging import label, opened
from agent.git.command import Git
from agent.results import summary

LOOKED_AT = 200  # executions that changed last, among which those that wait are looked for


@click.command(short_help="list the approvals that wait")
@click.option("--remote", help="where to fetch from  [default: pipeline.remote, or origin]")
@click.option("--no-fetch", is_flag=True, help="look at what was fetched before")
@click.option("--mine", is_flag=True, help="only those that ask for me")
@click.option("--repo", metavar="REPO.git", help="on the server: read the live state of this repository")
def command(remote: str | None, no_fetch: bool, mine: bool, repo: str | None) -> None:
    """List the approvals that wait, the one that expires first at the top, each with the command that gives it.

    Who you are: git config pipeline.person alice, and pipeline.roles "qa-lead ops" for the roles that you have on the server.
    """
    git, source = _place(repo, remote, quick=no_fetch)
    everything = [one for record in source.recent(LOOKED_AT) for one in waiting(record)]
    names = me(git)
    asked = [one for one in everything if not mine or is_for(one, names)]
    if not asked:
        click.echo("no approval waits" + (" for you" if mine and everything else ""), err=True)
        return
    asked.sort(key=lambda one: one.approval.deadline or datetime.max.replace(tzinfo=UTC))
    paint = console.Paint(console.colours(os.environ, sys.stdout))
    for one in asked:
        for line in lines(one, names, paint):
            click.echo(line, color=paint.on)


def _place(repo: str | None, remote: str | None, *, quick: bool) -> tuple[Git, Source]:
    """Whose settings tell who I am, and where what waits is read: on the server the live state, in a clone what was fetched."""
    if How(repo=repo, remote=remote).is_live:
        return discover(os.environ) if repo is None else client(repo, os.environ), status.opened(
            repo, datetime.now(UTC), quick=quick, logs=False
        )
    seat, clone = opened(remote, quick=quick)
    return seat.git, clone


def me(git: Git) -> frozenset[str]:
    """The name and the roles under which an approval may ask for the user, as this clone's settings have them."""
    roles = git.call("config", "--get", "pipeline.roles")[1].decode(errors="replace").replace(",", " ").split()
    return frozenset({label(git), *roles})


def is_for(one: Waiting, names: Collection[str]) -> bool:
    """Whether an approval asks for somebody with one of these names or roles who has not answered yet."""
    if any(given.person in names for given in one.approval.answers):
        return False
    asked = {name for group in one.approval.groups for name in group.any_of} or {"operator"}
    return not asked.isdisjoint(names)


def lines(one: Waiting, names: Collection[str], paint: console.Paint) -> tuple[str, ...]:
    """What is shown of one: who is asked, until when, who has answered, and how to answer."""
    yours = "  for you" if is_for(one, names) else ""
    several = sum(action.approval is not None for action in one.stage.actions) > 1
    which = f" --action {summary.quoted(one.action.name)}" if several else ""
    said = "  ".join(summary.clean(text) for text in (one.approval.message, one.approval.url) if text.strip())
    told = (
        f"{paint(f'{one.record.label}  {one.place}', console.BOLD)}  {summary.question(one.approval)}{paint(yours, '33')}",
        f"  {said}" if said else "",
        *(f"  {summary.answer(given)}" for given in one.approval.answers),
        f"  git pipeline approve {one.record.handle} {one.stage.name}{which}",
    )
    return tuple(line for line in told if line)
