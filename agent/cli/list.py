"""`git pipeline list`: executions by pipeline, status, branch, person or stage, page by page."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import click

from agent.cli import console
from agent.cli.porcelain import FIELDS, plain
from agent.cli.source import Source, resolve
from agent.cli.status import lines, opened
from agent.model.outcome import Status
from agent.results import record, summary
from agent.results.record import Record

Test = Callable[[Record], bool]
_WORDS = tuple(sorted({"waiting", *(status.value.lower() for status in Status)}))


@click.command(short_help="list executions by pipeline, status, branch, person or stage")
@click.option("--pipeline", metavar="NAME", help="of this pipeline")
@click.option("--status", type=click.Choice(_WORDS, case_sensitive=False), help="that stand so; waiting: for people")
@click.option("--branch", metavar="NAME", help="of this branch or tag")
@click.option("--person", metavar="NAME", help="that somebody pushed, started, answered or stopped")
@click.option("--stage", metavar="NAME", help="that have come to this stage")
@click.option("-n", "limit", type=click.IntRange(min=1), default=30, show_default=True, help="how many")
@click.option("--before", metavar="EXECUTION", help="older than this one: the next page")
@click.option("--json", "as_json", is_flag=True, help="one record a line, as in refs/notes/pipeline-record")
@click.option("--porcelain", is_flag=True, help=f"one line each for scripts, with tabs between: {', '.join(FIELDS)}")
@click.option("--repo", metavar="REPO.git", help="on the server: read the live state of this repository")
@click.option("--no-fetch", is_flag=True, help="show what was fetched before")
def command(
    pipeline: str | None, status: str | None, branch: str | None, person: str | None, stage: str | None, limit: int,
    before: str | None, as_json: bool, porcelain: bool, repo: str | None, no_fetch: bool,
) -> None:  # fmt: skip
    """List executions, newest first. Filters are joined by AND. Exit code 0 also if there are none."""
    now = datetime.now(UTC)
    source = opened(repo, now, quick=no_fetch, logs=False)
    tests = list(_tests(pipeline, status, branch, person, stage))
    if before:
        last = resolve(source, before).id
        tests.append(lambda one: one.id < last)
    found = matching(source, tests, limit + 1)
    shown = found[:limit]
    if as_json or porcelain:
        sys.stdout.buffer.write(b"".join(record.encode(one) + b"\n" for one in shown) if as_json else plain(shown).encode())
        return
    if not shown:
        click.echo("no such executions", err=True)
        return
    paint = console.Paint(console.colours(os.environ, sys.stdout))
    subjects = source.subjects(list(dict.fromkeys(one.commit for one in shown)))
    text = list(lines(shown, subjects, now, console.width(os.environ, sys.stdout), paint, questions=False))
    console.page("\n".join(text) + "\n", os.environ)
    if len(found) > limit and sys.stdout.isatty():
        click.echo(paint(f"older ones: --before {shown[-1].handle}", console.DIM), err=True, color=paint.on)


def matching(source: Source, tests: Sequence[Test], limit: int) -> tuple[Record, ...]:
    """The newest executions that pass all tests; looks at ever more of them until there are enough, or no more."""
    looked = max(limit, 50)
    while True:
        recent = source.recent(looked)
        found = tuple(one for one in recent if all(test(one) for test in tests))
        if len(found) >= limit or len(recent) < looked:
            return found[:limit]
        looked *= 4


def _tests(pipeline: str | None, status: str | None, branch: str | None, person: str | None, stage: str | None) -> Iterator[Test]:
    if pipeline:
        yield lambda one: one.pipeline == pipeline
    if status:
        wanted = status.lower()
        yield lambda one: wanted in {one.status.value.lower(), summary.execution_word(one).lower()}
    if branch:
        yield lambda one: branch in {one.ref, one.ref.removeprefix("refs/heads/"), one.ref.removeprefix("refs/tags/")}
    if person:
        yield lambda one: person in _people(one)
    if stage:
        yield lambda one: any(each.name == stage and each.arrived_at for each in one.stages)


def _people(one: Record) -> set[str]:
    approvals = (action.approval for stage in one.stages for action in stage.actions if action.approval)
    return {one.actor, one.stopped_by} | {given.person for approval in approvals for given in approval.answers}
