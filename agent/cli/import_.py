"""`git pipeline import`: another tool's pipeline as ours, with remarks where a person must go on."""

import os
from pathlib import Path

import click

from agent.cli.check import judged
from agent.cli.remote import discover
from agent.cli.worktree import work_tree
from agent.errors import RefusedError, UsageError
from agent.git.tree import DirectoryTree
from agent.importers.draft import Draft
from agent.importers.table import IMPORTERS, kind_of
from agent.results.summary import many


@click.command(name="import", short_help="turn another tool's pipeline into ours")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "kind", type=click.Choice(list(IMPORTERS)), help="whose file it is  [default: as its name tells]")
@click.option("--print", "prints", is_flag=True, help="print it, and write nothing")
@click.option("--force", is_flag=True, help="write over the file that is there")
def command(files: tuple[Path, ...], kind: str | None, prints: bool, force: bool) -> int:
    """Turn FILES of GitHub Actions, GitLab CI, Woodpecker or CodePipeline (get-pipeline's JSON) into .pipeline/*.yaml.

    What has no counterpart stands beside it as a comment that begins with TODO. Exit code 1 if what was written does not pass
    `git pipeline check`.
    """
    drafts = [_draft(path, kind) for path in files]
    if prints:
        click.echo("\n".join(draft.text for draft in drafts), nl=False)
        return 0
    discover(os.environ)
    root = work_tree()
    if not root:
        raise UsageError("there is no working tree here", hint="--print shows it without writing")
    for draft in drafts:
        _write(Path(root), draft, force)
    found = judged(DirectoryTree(root))
    if found.diagnostics:
        click.echo(found.report)
    else:
        click.echo("next: look at each TODO, then git pipeline run")
    return int(bool(found.diagnostics))


def _draft(path: Path, kind: str | None) -> Draft:
    found = kind or kind_of(path.absolute().as_posix())
    if not found:
        raise UsageError(f"whose file is {path}?", hint=f"say --from {'|'.join(IMPORTERS)}")
    return IMPORTERS[found](path.as_posix(), path.read_bytes())


def _write(root: Path, draft: Draft, force: bool) -> None:
    place = f".pipeline/{draft.name}.yaml"
    path = root / place
    if path.exists() and not force:
        raise RefusedError(f"{place} is there already", hint="--force writes over it, --print shows what would be written")
    path.parent.mkdir(exist_ok=True)
    path.write_text(draft.text)
    left = f", {many(draft.open_ends, 'TODO')} left to you" if draft.open_ends else ""
    click.echo(f"wrote {place}{left}")
