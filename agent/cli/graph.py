"""`git pipeline graph`: draw a pipeline as text, Mermaid, DOT or SVG; after a run with times and the critical path."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from agent.cli.remote import discover
from agent.cli.source import resolve as execution_of
from agent.cli.status import opened
from agent.cli.tree import durations
from agent.cli.worktree import commit_of, work_tree
from agent.errors import DefinitionError, UsageError
from agent.git.command import Git
from agent.git.tree import CommitTree, DirectoryTree

if TYPE_CHECKING:
    from agent.definition.document import Pipeline

FORMATS = ("text", "mermaid", "dot", "svg")


@click.command(short_help="draw a pipeline: text, Mermaid, DOT, SVG")
@click.argument("name", default="")
@click.argument("revision", metavar="[REV]", default="")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="what to draw it as")
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
    click.echo(_drawn(chosen, form, took), nl=False)


def _drawn(chosen: Sequence["Pipeline"], form: str, took: Mapping[tuple[str, str], timedelta]) -> str:
    from agent.graph.draw import dot, mermaid, text  # networkx is slow to load, and a mistake in the options needs none of it
    from agent.graph.picture import picture
    from agent.graph.svg import svg

    draw = {"text": text, "mermaid": mermaid, "dot": dot, "svg": svg}[form]
    return "\n".join(draw(picture(one, took)) for one in chosen)


def pipelines(git: Git, revision: str) -> tuple["Pipeline", ...]:
    """The pipelines of a commit, or without a revision those of the working tree (of HEAD where there is none).

    Raises DefinitionError with the whole report if one of them is wrong.
    """
    from agent.definition.load import load

    root = "" if revision else work_tree()
    loaded = load(DirectoryTree(root) if root else CommitTree(git, commit_of(git, revision or "HEAD")))
    if loaded.diagnostics:
        raise DefinitionError(loaded.report)
    return loaded.pipelines


def choose(found: Sequence["Pipeline"], name: str, revision: str) -> tuple["Pipeline", ...]:
    """The named pipeline, or all. Raises UsageError if there is none."""
    where = revision or "the working tree"
    if not found:
        raise UsageError(f"{where} has no pipelines", hint="they are the files .pipeline/*.yaml")
    chosen = tuple(one for one in found if name in {"", one.name})
    if not chosen:
        names = [one.name for one in found]
        from difflib import get_close_matches

        near = get_close_matches(name, names, 1)
        raise UsageError(
            f"{where} has no pipeline {name}",
            hint=f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}; a revision comes after the name",
        )
    return chosen
