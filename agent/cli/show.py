"""`git pipeline show`: one execution, from its trigger to its artifacts."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from agent.cli import console, tree
from agent.cli.console import BOLD, Paint
from agent.cli.source import Chosen, Source, choose, resolve
from agent.cli.status import opened
from agent.results import note, record, summary
from agent.results.record import ActionRecord, AttemptRecord, Record


@click.command(short_help="show one execution: its tree, times, outputs, approvals, artifacts")
@click.argument("execution", default="")
@click.argument("action", default="")
@click.option("-v", "--verbose", is_flag=True, help="also image, configuration, timings and logs of every action")
@click.option("--json", "as_json", is_flag=True, help="the record, as in refs/notes/pipeline-record")
@click.option("--repo", metavar="REPO.git", help="on the server: read the live state of this repository")
@click.option("--no-fetch", is_flag=True, help="show what was fetched before")
def command(execution: str, action: str, verbose: bool, as_json: bool, repo: str | None, no_fetch: bool) -> None:
    """Show EXECUTION: 42, release#42, an id, a pipeline or a revision (their last one); without it the last one of HEAD.

    With ACTION (stage/action, an action or a stage) everything that is known of it.
    """
    now = datetime.now(UTC)
    source = opened(repo, now, quick=no_fetch, logs=False)
    found = resolve(source, execution)
    if as_json:
        sys.stdout.buffer.write(record.encode(found) + b"\n")
        return
    paint = console.Paint(console.colours(os.environ, sys.stdout))
    shown = list(_head(source, found, paint))
    if not action:
        shown += ["", *tree.lines(found, now, console.width(os.environ, sys.stdout), paint)]
        shown += [line for block in note.blocks(found) for line in ("", *(text.removeprefix("  ") for text in block))]
    for chosen in choose(found, action):
        details = list(_details(chosen[1], everything=verbose or bool(action)))
        if details:
            shown += ["", paint(f"{chosen[0].name}/{summary.clean(chosen[1].name)}", BOLD) + _word(chosen, action), *details]
    console.page("\n".join(shown) + "\n", os.environ)


def _word(chosen: Chosen, action: str) -> str:
    return f"  {summary.action_word(chosen[1])}" if action else ""


def _head(source: Source, found: Record, paint: Paint) -> Iterator[str]:
    word = summary.execution_word(found)
    label, _, rest = note.headline(found).partition(word)
    yield paint(label, BOLD) + paint.status(word, word) + rest
    subject = summary.clean(source.subjects([found.commit]).get(found.commit, ""))
    variables = ", ".join(f"{name}={summary.clean(value, 60)}" for name, value in found.variables.items())
    for key, value in (
        ("commit", f"{found.commit[:12]}  {subject}".rstrip()),
        ("ref", summary.place(found.ref)),
        ("started", summary.when(found.started_at)),
        ("ended", summary.when(found.ended_at)),
        ("stopped by", summary.clean(found.stopped_by)),
        ("variables", variables),
        ("id", found.id),
    ):
        if value:
            yield f"  {key:<10} {value}"


def _details(action: ActionRecord, *, everything: bool) -> Iterator[str]:
    """What the tree has no room for."""
    yield from (_field("output", f"{name}={summary.clean(value)}") for name, value in action.outputs.items())
    if not everything:
        return
    for artifact in action.artifacts:
        yield _field("artifact", f"{summary.artifact(artifact)}  sha256:{artifact.digest[:16]}")
    if action.approval:
        yield _field("asks", summary.question(action.approval))
        for given in action.approval.answers:
            by = f"  key {given.fingerprint}" if given.fingerprint else ""
            yield _field("answer", f"{summary.when(given.at)}  {summary.answer(given)}{by}")
    yield from _attempt(action)
    yield from (_field(f"attempt {one.attempt}", f"{summary.word(one.status)}: {summary.why(one)}") for one in action.former)


def _attempt(one: AttemptRecord) -> Iterator[str]:
    timings = ", ".join(f"{phase} {seconds:.1f}s" for phase, seconds in one.timings.items())
    log = f"{summary.many(one.log.lines, 'line')}, {summary.size(one.log.bytes)}" if one.log and one.log.bytes else ""
    fields = {
        "kind": getattr(one, "kind", ""),
        "image": one.image,
        "started": summary.when(one.started_at),
        "time": timings,
        "tests": summary.tests(one.tests) if one.tests else "",
        "secrets": ", ".join(getattr(one, "secrets", ())),
        "log": log,
        "link": summary.clean(one.link),
    }
    yield from (_field(key, value) for key, value in fields.items() if value)
    yield from (_field("with", f"{place} = {summary.clean(value)}") for place, value in one.resolved.items())


def _field(key: str, value: str) -> str:
    return f"  {key:<9} {value}"
