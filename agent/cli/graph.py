"""`git pipeline graph`: draw a pipeline as text, Mermaid, DOT or SVG; after a run with times and the critical path."""

import difflib
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from agent.cli.remote import discover
from agent.cli.source import resolve as execution_of
from agent.cli.status import opened
from agent.definition.document import Pipeline
from agent.definition.load import load
from agent.errors import DefinitionError, UsageError
from agent.git.command import Git
from agent.git.history import resolve
from agent.git.tree import CommitTree, DirectoryTree
from agent.graph.draw import dot, mermaid, text
from agent.graph.picture import Picture, picture
from agent.graph.svg import svg
from agent.results.record import Record

FORMATS: dict[str, Callable[[Picture], str]] = {"text": text, "mermaid": mermaid, "dot": dot, "svg": svg}


@click.command(short_help="draw a pipeline: text, Mermaid, DOT, SVG")
@click.argument("name", default="")
@click.argument("revision", metavar="[REV]", default="")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True, help="what to draw it as")
@click.option(
    "--run", "execution", metavar="EXECUTION", help="with the times of an execution (42, release#42), and its critical path"
)
@click.option("--no-fetch", is_flag=True, help="with --run: read what was fetched before")
def command(name: str, revision: str, form: str, execution: str | None, no_fetch: bool) -> None:
    """Draw pipeline NAME, or all of them, as it stands in the working tree or in the commit REV."""
    git = discover(os.environ)
    took: Mapping[tuple[str, str], timedelta] = {}
    if execution is not None:
        run = execution_of(opened(None, datetime.now(UTC), quick=no_fetch, logs=False), execution)
        if name not in {"", run.pipeline} or revision:
            raise UsageError(f"{run.label} tells both pipeline and commit", hint=f"git pipeline graph --run {run.handle}")
        name, revision, took = run.pipeline, run.commit, durations(run)
    chosen = choose(pipelines(git, revision), name, revision)
    if len(chosen) > 1 and form == "svg":
        raise UsageError("an SVG holds one pipeline", hint=f"name one of {', '.join(one.name for one in chosen)}")
    click.echo("\n".join(FORMATS[form](picture(one, took)) for one in chosen), nl=False)


def pipelines(git: Git, revision: str) -> tuple[Pipeline, ...]:
    """The pipelines of a commit, or without a revision those of the working tree (of HEAD where there is none).

    Raises DefinitionError with the whole report if one of them is wrong.
    """
    root = "" if revision else work_tree()
    loaded = load(DirectoryTree(root) if root else CommitTree(git, commit_of(git, revision or "HEAD")))
    if loaded.diagnostics:
        raise DefinitionError(loaded.report)
    return loaded.pipelines


def commit_of(git: Git, revision: str) -> str:
    """The commit that a revision names. Raises UsageError if it names none."""
    commit = resolve(git, revision)
    if commit is None:
        raise UsageError(f"{revision} is no commit here", hint="git fetch brings new ones")
    return commit


def choose(found: Sequence[Pipeline], name: str, revision: str) -> tuple[Pipeline, ...]:
    """The named pipeline, or all. Raises UsageError if there is none."""
    where = revision or "the working tree"
    if not found:
        raise UsageError(f"{where} has no pipelines", hint="they are the files .pipeline/*.yaml")
    chosen = tuple(one for one in found if name in {"", one.name})
    if not chosen:
        names = [one.name for one in found]
        near = difflib.get_close_matches(name, names, 1)
        raise UsageError(
            f"{where} has no pipeline {name}",
            hint=f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}; a revision comes after the name",
        )
    return chosen


def durations(run: Record) -> dict[tuple[str, str], timedelta]:
    """How long the last attempt of each action that ended took, by stage and action."""
    return {
        (stage.name, action.name): action.ended_at - action.started_at
        for stage in run.stages
        for action in stage.actions
        if action.started_at and action.ended_at
    }


def work_tree() -> str:
    """The root of the working tree around the current directory; empty in a bare repository."""
    found = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return str(Path(os.fsdecode(found.stdout.rstrip(b"\n")))) if found.returncode == 0 else ""
