"""`git pipeline diff A B`: what changed between two executions: commits, variables, images, outcomes and times."""

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

import click

from agent.cli import console
from agent.cli.console import BOLD, Paint
from agent.cli.remote import client, discover
from agent.cli.source import resolve
from agent.cli.status import opened
from agent.git.command import Git
from agent.results import summary
from agent.results.record import ActionRecord, Record

COMMITS = 20  # that are listed
NOTABLE = 1.2  # times as long is worth a line, and so is that much shorter
MOMENT = 1.0  # seconds; differences below are noise
Actions = Mapping[str, ActionRecord]


@click.command(short_help="what changed between two executions")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--repo", metavar="REPO.git", help="on the server: read the live state of this repository")
@click.option("--no-fetch", is_flag=True, help="show what was fetched before")
def command(one: str, other: str, repo: str | None, no_fetch: bool) -> int:
    """Show what changed from execution A to B: commits, variables, images, outcomes and times.

    Exit code 0 if nothing did but the time it took, else 1.
    """
    source = opened(repo, datetime.now(UTC), quick=no_fetch, logs=False)
    before, after = resolve(source, one), resolve(source, other)
    git = client(repo, os.environ) if repo else discover(os.environ)
    paint = console.Paint(console.colours(os.environ, sys.stdout))
    ran = {*_actions(before), *_actions(after)} - _silent(before) - _silent(after)
    told = {
        "commits": list(_commits(git, before, after)),
        "definition": list(_definition(git, before, after)),
        "variables": list(_changed(before.variables, after.variables)),
        "images": list(_changed(_images(before, ran), _images(after, ran))),
        "configuration": list(_changed(_resolved(before, ran), _resolved(after, ran))),
        "outputs": list(_changed(_outputs(before, ran), _outputs(after, ran))),
        "outcomes": list(_changed(_outcomes(before), _outcomes(after))),
    }
    text = [paint(f"{_named(before)} -> {_named(after)}", BOLD)]
    for title, lines in {**told, "times": list(_times(before, after))}.items():
        text += [title, *(_coloured(f"  {line}", paint) for line in lines)] if lines else []
    console.page("\n".join(text if len(text) > 1 else [*text, "nothing changed"]) + "\n", os.environ)
    return int(any(told.values()))


def _named(one: Record) -> str:
    return f"{one.label} ({summary.execution_word(one)}, {one.commit[:12]})"


def _coloured(line: str, paint: Paint) -> str:
    code = {"+": "32", "-": "31"}.get(line[2:3], "")
    return paint(line, code)


def _commits(git: Git, before: Record, after: Record) -> Iterator[str]:
    if before.commit == after.commit:
        return
    code, out, _ = git.call("log", "--oneline", "--left-right", "--no-decorate", f"{before.commit}...{after.commit}", "--")
    lines = out.decode(errors="replace").splitlines()
    if code:
        yield f"{before.commit[:12]} -> {after.commit[:12]} (git fetch brings what is between)"
    for line in lines[:COMMITS]:
        yield f"{'+' if line.startswith('>') else '-'} {summary.clean(line[1:].strip())}"
    if len(lines) > COMMITS:
        yield f"… and {len(lines) - COMMITS} more"


def _definition(git: Git, before: Record, after: Record) -> Iterator[str]:
    if before.definition == after.definition:
        return
    code, out, _ = git.call("diff", "--stat", before.definition, after.definition, "--")
    yield from ("changed",) if code else (line.strip() for line in out.decode(errors="replace").splitlines())


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield f"- {name} = {summary.clean(before[name], 100)}"
        elif name not in before:
            yield f"+ {name} = {summary.clean(after[name], 100)}"
        elif before[name] != after[name]:
            yield f"{name}: {summary.clean(before[name], 100)} -> {summary.clean(after[name], 100)}"


def _actions(one: Record) -> Actions:
    return {f"{stage.name}/{summary.clean(action.name)}": action for stage in one.stages for action in stage.actions}


def _silent(one: Record) -> set[str]:
    """The actions that did not run: nobody knows what they would have had, and their outcomes tell."""
    return {place for place, action in _actions(one).items() if not action.started_at}


def _images(one: Record, places: Collection[str]) -> dict[str, str]:
    return {place: action.image for place, action in _actions(one).items() if action.image and place in places}


def _resolved(one: Record, places: Collection[str]) -> dict[str, str]:
    return {
        f"{at} {key}": value for at, action in _actions(one).items() if at in places for key, value in action.resolved.items()
    }


def _outputs(one: Record, places: Collection[str]) -> dict[str, str]:
    return {f"{at} {key}": value for at, action in _actions(one).items() if at in places for key, value in action.outputs.items()}


def _outcomes(one: Record) -> dict[str, str]:
    return {
        place: f"{summary.action_word(action)}{f' ({why})' if (why := summary.why(action)) else ''}"
        for place, action in _actions(one).items()
    }


def _times(before: Record, after: Record) -> Iterator[str]:
    former = _actions(before)
    for place, action in _actions(after).items():
        old, new = (summary.spent(each.started_at, each.ended_at) if each else None for each in (former.get(place), action))
        if old is None or new is None or abs((new - old).total_seconds()) < MOMENT:
            continue
        ratio = max(new, old) / max(min(new, old), type(old)(seconds=0.1))
        if ratio >= NOTABLE:
            times = f"{ratio:.1f} times as {'long' if new > old else 'fast'}"
            yield f"{place}: {summary.duration(old)} -> {summary.duration(new)} ({times})"
