"""`git pipeline status`: the executions that changed last, and what they wait for."""

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli import console
from agent.cli.porcelain import plain
from agent.cli.remote import Clone, client, discover, fetch
from agent.cli.source import Source
from agent.errors import UsageError
from agent.model.outcome import Status
from agent.results import record, summary
from agent.results.record import ActionRecord, Record, StageRecord

if TYPE_CHECKING:
    from agent.cli.live import Server

LATELY = timedelta(days=1)  # for so long a notice that was given up is spoken of
LOOKED_AT = 500  # executions among which the last of each branch is looked for


@click.command(short_help="show the executions and how they stand")
@click.argument("revision", default="")
@click.option("--json", "as_json", is_flag=True, help="one record a line, as in refs/notes/pipeline-record")
@click.option("--porcelain", is_flag=True, help="one line each for scripts, as `git pipeline list --porcelain` has them")
@click.option("--branches", is_flag=True, help="the last execution of each pipeline on each branch and tag")
@click.option("--repo", metavar="REPO.git", help="on the server: read the live state of this repository")
@click.option("-n", "limit", type=click.IntRange(min=1), default=10, show_default=True, help="how many executions")
@click.option("--no-fetch", is_flag=True, help="show what was fetched before")
def command(
    revision: str, as_json: bool, porcelain: bool, branches: bool, repo: str | None, limit: int, no_fetch: bool
) -> None:  # fmt: skip
    """Show the executions that changed last, newest first, and the gates: approvals that wait, transitions that are closed.

    With REVISION those of one commit.
    """
    now = datetime.now(UTC)
    source = opened(repo, now, quick=no_fetch, logs=False)
    found = _of(source, revision) if revision else source.recent(max(limit, LOOKED_AT) if branches else limit)
    records = (_last(found) if branches else found)[:limit]
    if as_json or porcelain:
        sys.stdout.buffer.write(plain(records).encode() if porcelain else b"".join(record.encode(one) + b"\n" for one in records))
        return
    if not records:
        click.echo("no executions yet", err=True)
        return
    paint = console.Paint(console.colours(os.environ, sys.stdout))
    server = _server(source)
    if server and (untold := server.undelivered(now - LATELY)):
        click.echo(f"not delivered to {', '.join(untold)}: git pipeline doctor says why", err=True)
    subjects = source.subjects(list(dict.fromkeys(one.commit for one in records)))
    for line in lines(records, subjects, now, console.width(os.environ, sys.stdout), paint):
        click.echo(line, color=paint.on)
    for gate in server.closed() if server else ():
        click.echo(paint(gate, "33"), color=paint.on)


def _server(source: Source) -> "Server | None":
    if isinstance(source, Clone):
        return None
    from agent.cli.live import Server

    return source if isinstance(source, Server) else None


def _last(records: Sequence[Record]) -> tuple[Record, ...]:
    newest = {(one.pipeline, one.ref): one for one in reversed(records)}
    return tuple(sorted(newest.values(), key=lambda one: one.id, reverse=True))


def opened(repo: str | None, now: datetime, *, quick: bool, logs: bool) -> Source:
    """Where to read from: --repo, the server's repository if we stand in one, or the clone, whose notes are fetched first."""
    git = discover(os.environ) if repo is None else client(_bare(repo), os.environ)
    if repo is not None or (Path(git.git_dir) / "pipeline" / "state.db").is_file():
        from agent.cli.live import Server  # with SQLite and the journal

        return Server(git, now)
    clone = Clone(git)
    if not quick and (trouble := fetch(git, logs=logs)):
        click.echo(f"git pipeline: {trouble}", err=True)
    clone.require_notes()
    return clone


def _bare(repo: str) -> str:
    path = Path(repo).expanduser()
    for candidate in (path, path / ".git"):
        if (candidate / "objects").is_dir():
            return str(candidate.resolve())
    raise UsageError(f"{repo} is not a git repository", hint="name the bare repository that people push to")


def _of(source: Source, revision: str) -> tuple[Record, ...]:
    commit = source.commit(revision)
    if not commit:
        raise UsageError(f"{revision} is no commit here", hint="git fetch brings new ones")
    return source.of_commit(commit)


def lines(
    records: Sequence[Record],
    subjects: dict[str, str],
    now: datetime,
    width: int | None,
    paint: console.Paint,
    *,
    questions: bool = True,
) -> list[str]:
    """A table of executions, and below it who is asked for what."""
    padded = console.table([_cells(one, subjects, now) for one in records], frozenset({2}))
    told = [_line(cells, one, width, paint) for cells, one in zip(padded, records, strict=True)]
    asked = [line for one in records for line in _asked(one)] if questions else []
    return told + (["", *asked] if asked else [])


def _line(cells: list[str], one: Record, width: int | None, paint: console.Paint) -> str:
    plain = console.cut("  ".join(cells).rstrip(), width)
    word = summary.execution_word(one)
    start = len(cells[0]) + 2
    return (
        paint(plain[: start - 2], console.BOLD)
        + "  "
        + paint.status(plain[start : start + len(word)], word)
        + plain[start + len(word) :]
    )


def _cells(one: Record, subjects: dict[str, str], now: datetime) -> list[str]:
    took = summary.duration(summary.spent(one.started_at, one.ended_at))
    moment = one.ended_at or one.started_at or one.created_at
    return [
        one.label,
        summary.execution_word(one),
        took,
        console.since(moment, now),
        summary.place(one.ref),
        one.commit[:8],
        _detail(one) or summary.clean(subjects.get(one.commit, "")),
    ]


def _detail(one: Record) -> str:
    """What deserves a look: what failed, what goes on, or why nothing does."""
    if one.status is Status.FAILED:
        failed = [
            f"{stage.name}/{action.name}: {summary.why(action)}"
            for stage, action in _actions(one)
            if action.status is Status.FAILED
        ]
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return failed[0] + more if failed else summary.clean(one.message)
    if one.status.is_final:
        return "" if one.status is Status.SUCCEEDED else summary.clean(one.message)
    return ", ".join(_goes_on(stage) for stage in one.stages if stage.arrived_at and not stage.ended_at)


def _goes_on(stage: StageRecord) -> str:
    if stage.status is None:
        return f"in front of {stage.name}"
    running = [action.name for action in stage.actions if action.status is Status.IN_PROGRESS]
    shown = ", ".join(running[:3]) + (" …" if len(running) > 3 else "")
    return f"{stage.name}/{shown}" if len(running) == 1 else f"{stage.name}: {shown}" if running else stage.name


def _asked(one: Record) -> Iterator[str]:
    for stage in one.stages:
        waiting = [action for action in stage.actions if action.approval and summary.is_waiting(action)]
        for action in waiting:
            if action.approval:
                yield f"{one.label} waits for {summary.question(action.approval)}:"
                which = action.name if len(waiting) > 1 else ""
                yield f"  {summary.steps(one.handle, stage.name, one.commit, action=which)}"


def _actions(one: Record) -> list[tuple[StageRecord, ActionRecord]]:
    return [(stage, action) for stage in one.stages for action in stage.actions]
