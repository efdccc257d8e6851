"""`git pipeline report`: executions and their history as one HTML file."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from agent.cli import progress
from agent.cli.graph import pipelines
from agent.cli.remote import client, discover
from agent.cli.source import Source, resolve
from agent.cli.status import opened
from agent.cli.tree import durations
from agent.errors import AgentError, EnvironmentFault
from agent.git.command import Git
from agent.model.ids import attempt_id
from agent.results import summary
from agent.results.record import Record

OUTPUT = "pipeline-report.html"


@click.command(short_help="write executions and their history as one HTML file")
@click.argument("execution", default="")
@click.option("-o", "--output", default=OUTPUT, show_default=True, metavar="FILE", help="where to; - is the standard output")
@click.option("-n", "limit", type=click.IntRange(min=1), default=200, show_default=True, help="how many executions of history")
@click.option("--details", type=click.IntRange(min=1), default=10, show_default=True, help="how many of them in full")
@click.option("--no-logs", is_flag=True, help="leave out what the scripts printed")
@click.option("--repo", metavar="REPO.git", help="on the server: read the live state of this repository")
@click.option("--no-fetch", is_flag=True, help="read what was fetched before")
def command(execution: str, output: str, limit: int, details: int, no_logs: bool, repo: str | None, no_fetch: bool) -> None:
    """Write one HTML page: graph, timeline, logs, approvals and artifacts of executions, and how the pipelines have done.

    With EXECUTION (42, release#42, a pipeline, a revision) that one in full; without it the last ones. The page needs no server
    and no network.
    """
    from agent.results.report.page import Shown, page  # jinja2

    now = datetime.now(UTC)
    source = opened(repo, now, quick=no_fetch, logs=not no_logs)
    git = discover(os.environ) if repo is None else client(repo, os.environ)
    records = source.recent(limit)
    chosen = (resolve(source, execution),) if execution else records[:details]
    subjects = source.subjects(list(dict.fromkeys(one.commit for one in chosen)))
    shown = [
        Shown(one, summary.clean(subjects.get(one.commit, "")), _graph(git, one), {} if no_logs else _logs(source, one))
        for one in progress.meter()("Reading executions", chosen, len(chosen))
    ]
    title = f"{chosen[0].label}" if execution else f"Pipelines of {_name(git)}"
    text = page(title, shown, records, _committed(git, records), now)
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text)
    except OSError as error:
        raise EnvironmentFault(f"cannot write {output}: {error.strerror}", hint="name another file with -o") from error
    click.echo(f"wrote {output}", err=True)


def _graph(git: Git, one: Record) -> str:
    """The drawing of an execution; empty where the pipeline of its commit is not here, or is read otherwise by now."""
    try:
        found = next((each for each in pipelines(git, one.commit) if each.name == one.pipeline), None)
    except AgentError:
        return ""
    from agent.graph.picture import picture  # networkx
    from agent.graph.svg import svg

    statuses = {(str(stage.name), action.name): summary.action_word(action) for stage in one.stages for action in stage.actions}
    return svg(picture(found, durations(one), statuses)) if found else ""


def _logs(source: Source, one: Record) -> dict[str, bytes]:
    attempts = [
        attempt_id(one.id, stage.name, action.name, each.attempt)
        for stage in one.stages
        for action in stage.actions
        for each in action.attempts
        if each.status is not None
    ]
    return source.logs(one, attempts)


def _committed(git: Git, records: Sequence[Record]) -> dict[str, datetime]:
    """When the commits of executions were made, of those that are here."""
    names = "".join(f"{commit}\n" for commit in dict.fromkeys(one.commit for one in records))
    how = ("log", "--no-walk=unsorted", "--ignore-missing", "--format=%H %ct", "--stdin")
    lines = git.run(*how, stdin=names.encode()).decode().split("\n") if names else []
    return {line.split(" ")[0]: datetime.fromtimestamp(int(line.split(" ")[1]), UTC) for line in lines if line}


def _name(git: Git) -> str:
    path = Path(git.git_dir)
    return path.parent.name if path.name == ".git" else path.name.removesuffix(".git")
