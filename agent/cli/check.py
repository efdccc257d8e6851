"""`git pipeline check`: judge the pipeline files as the server would, before the push."""

import os
import subprocess
from typing import TYPE_CHECKING

import click

from agent.cli.remote import discover
from agent.cli.worktree import commit_of
from agent.definition.diagnostics import render
from agent.definition.source import Tree
from agent.errors import UsageError
from agent.git.tree import CommitTree, DirectoryTree

if TYPE_CHECKING:
    from agent.definition.load import Loaded


@click.command(short_help="judge the pipeline files as the server would")
@click.argument("revision", metavar="[REV]", default="")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="json for programs, github for annotations in its log",
)
def command(revision: str, form: str) -> int:
    """Judge the pipeline files of the working tree, or of the commit REV; exit code 1 if anything is wrong with them."""
    tree = _tree(revision)
    loaded = judged(tree)
    report = render(loaded.diagnostics, loaded.sources, form)
    if form != "text":
        click.echo(report, nl=bool(report))
    elif loaded.diagnostics:
        click.echo(f"{report}\n\n{_count(loaded)}")
    else:
        click.echo(_all_well(loaded, revision or "the working tree"))
    return 1 if loaded.diagnostics else 0


def judged(tree: Tree) -> "Loaded":
    """The pipeline files of a tree with all that is wrong with them, and with what they need of the tree."""
    from agent.definition.load import load  # YAML and pydantic
    from agent.deploy import appspec

    return appspec.complete(load(tree), tree)


def _tree(revision: str) -> Tree:
    """The files to judge. Raises UsageError outside of a repository, or for a revision that names no commit."""
    git = discover(os.environ)
    if revision:
        return CommitTree(git, commit_of(git, revision))
    # Git always says --git-dir, and with that git takes any directory for the root of a working tree.
    found = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if found.returncode:
        raise UsageError("there is no working tree here", hint="name a commit: git pipeline check main")
    return DirectoryTree(os.fsdecode(found.stdout.rstrip(b"\n")))


def _count(loaded: "Loaded") -> str:
    files = {diagnostic.span.path for diagnostic in loaded.diagnostics}
    return f"{_some(len(loaded.diagnostics), 'mistake')} in {_some(len(files), 'file')}"


def _all_well(loaded: "Loaded", where: str) -> str:
    names = ", ".join(pipeline.name for pipeline in loaded.pipelines)
    return f"{_some(len(loaded.pipelines), 'pipeline')} without a mistake: {names}" if names else f"{where} has no pipelines"


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
