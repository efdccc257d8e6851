"""`git pipeline start`: start an execution by hand."""

import sys
import time

import click

from agent.cli import asking
from agent.cli.asking import Desk
from agent.definition.suggest import did_you_mean
from agent.errors import DefinitionError, UsageError
from agent.git import history
from agent.git.command import Git
from agent.git.refs import all_refs, default_branch
from agent.git.tree import definition_trees
from agent.model.control import Start
from agent.model.ids import Oid, PipelineName, RefName
from agent.model.outcome import Status
from agent.model.trigger import Entry
from agent.plan import parameters
from agent.state.queue import Row
from agent.worker.follow import Followed, Output, follow
from agent.worker.judge import entries, verdict

Given = tuple[tuple[str, str], ...]


def _assignments(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Given:
    parted = [value.partition("=") for value in values]
    for name, sign, _ in parted:
        if not sign or not name:
            raise click.BadParameter(f"{name!r} is not name=value", context, parameter)
    return tuple((name, value) for name, _, value in parted)


@click.command(short_help="start an execution by hand")
@click.argument("pipeline")
@click.option("--ref", metavar="REF", help="a branch or tag, as if it had been pushed  [default: the default branch]")
@click.option("--commit", metavar="SHA", help="a commit of that ref, other than its head")
@click.option(
    "--var", "given", metavar="NAME=VALUE", multiple=True, callback=_assignments, help="a value for a variable; may be repeated"
)
@click.option("--detach", is_flag=True, help="do not follow it")
@asking.options
def command(
    pipeline: str, ref: str | None, commit: str | None, given: Given, detach: bool, repo: str | None, reason: str, by: str | None
) -> int:
    """Start PIPELINE by hand and follow it, as a push would. Ctrl-C ends the following, never the execution.

    Exit code 1 if it has failed or was stopped when the following ends.
    """
    with asking.desk(repo) as desk:
        name, oid = _where(desk.git, ref, commit)
        entry = _entry(desk, pipeline, oid, name)
        variables = _values(entry, given)
        demand = Start(pipeline=PipelineName(entry.pipeline), commit=oid, ref=name, variables=variables)
        row = desk.queued(desk.ask(demand, asking.asker(by, reason)))
        click.echo(f"{asking.label(row)} queued")
        return 0 if detach else followed(desk, row)


def followed(desk: Desk, row: Row) -> int:
    """Show an execution as it goes on; 1 if it has ended, and not well."""
    sys.stdout.flush()
    follow(str(desk.home), [Followed(row.id, asking.label(row))], Output(sys.stdout.fileno()), time.monotonic, time.sleep)
    now = desk.queue.get(row.id)
    status = Status(now.status) if now else Status.SUCCEEDED
    return int(status.is_final and status is not Status.SUCCEEDED)


def _where(git: Git, ref: str | None, commit: str | None) -> tuple[RefName, Oid]:
    """The ref and the commit to run. Raises UsageError."""
    oid = history.resolve(git, commit) if commit else None
    if commit and oid is None:
        raise UsageError(f"{commit} is no commit of {git.git_dir}", hint="push it first")
    name = _ref(git, ref) if ref else _containing(git, oid) if oid else _default(git)
    head = history.resolve(git, name)
    if head is None:
        raise UsageError(f"{name} is no branch or tag with commits", hint="name one with --ref")
    if oid and not history.is_ancestor(git, oid, head):
        raise UsageError(f"{oid[:12]} is no commit of {_short(name)}", hint="leave out --ref, or name a ref that contains it")
    return name, oid or head


def _ref(git: Git, words: str) -> RefName:
    known = all_refs(git)
    for candidate in (words, f"refs/heads/{words}", f"refs/tags/{words}"):
        if candidate in known:
            return RefName(candidate)
    raise UsageError(f"there is no branch or tag {words}", hint=did_you_mean(words, map(_short, known)))


def _default(git: Git) -> RefName:
    name = default_branch(git)
    if name is None:
        raise UsageError("the repository has no default branch", hint="name a branch or tag with --ref")
    return name


def _containing(git: Git, oid: str) -> RefName:
    """The default branch if it contains the commit, else the first branch or tag that does."""
    found = git.run("for-each-ref", f"--contains={oid}", "--format=%(refname)", "refs/heads", "refs/tags")
    names = found.decode(errors="backslashreplace").splitlines()
    if not names:
        raise UsageError(f"no branch or tag contains {oid[:12]}", hint="push a branch with it first")
    default = default_branch(git)
    return default if default in names else RefName(names[0])


def _entry(desk: Desk, pipeline: str, oid: Oid, ref: RefName) -> Entry:
    """What the commit says of the pipeline. Raises UsageError or DefinitionError."""
    place = f"{_short(ref)} ({oid[:12]})"
    tree = definition_trees(desk.git, [oid]).get(oid)
    if not tree:
        raise UsageError(f"{place} has no pipelines: there are no files .pipeline/*.yaml")
    found = verdict(desk.git, desk.database, tree, oid)
    if not found.ok:
        raise DefinitionError(f"the pipeline files of {place} are wrong:\n{found.body}")
    known = {entry.pipeline: entry for entry in entries(found)}
    if pipeline not in known:
        raise UsageError(f"{place} has no pipeline {pipeline}", hint=did_you_mean(pipeline, known))
    return known[pipeline]


def _values(entry: Entry, given: Given) -> dict[str, str]:
    try:
        return parameters.check(entry, given)
    except UsageError as error:
        raise UsageError(error.message, hint=error.hint.replace("git push -o pipeline.var.", "--var ")) from error


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
