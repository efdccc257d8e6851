"""`git pipeline start`: start an execution by hand."""

import sys
import time

import click

from agent.cli import asking, steering
from agent.cli.asking import Desk
from agent.cli.steering import How
from agent.cli.tagging import Seat, seated
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
from agent.state.database import Database
from agent.state.queue import Row
from agent.worker.follow import Followed, Output, follow
from agent.worker.judge import entries, verdict

Given = tuple[tuple[str, str], ...]


def assignments(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Given:
    """NAME=VALUE, as an option of click that may be repeated gives them."""
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
    "--var", "given", metavar="NAME=VALUE", multiple=True, callback=assignments, help="a value for a variable; may be repeated"
)
@click.option("--detach", is_flag=True, help="do not follow it")
@steering.options
def command(pipeline: str, ref: str | None, commit: str | None, given: Given, detach: bool, how: How) -> int:
    """Start PIPELINE by hand and follow it, as a push would. Ctrl-C ends the following, never the execution.

    Exit code 1 if it has failed or was stopped when the following ends.
    """
    if not how.is_live:
        return _by_tag(how, pipeline, ref, commit, given, detach)
    with asking.desk(how.repo) as desk:
        name, oid = _where(desk.git, ref, commit)
        demand = _demand(desk.git, desk.database, pipeline, name, oid, given)
        row = desk.queued(desk.ask(demand, asking.asker(how.by, how.reason)))
        click.echo(f"{asking.label(row)} queued")
        return 0 if detach else followed(desk, row)


def _by_tag(how: How, pipeline: str, ref: str | None, commit: str | None, given: Given, detach: bool) -> int:
    """From a clone: a signed tag at the commit. As which branch it runs is the server's to say: one that has the commit."""
    seat = seated(how.remote)
    name, oid = _of_remote(seat, ref, commit)
    demand = _demand(seat.git, None, pipeline, name, oid, given)
    tag = seat.tag(demand, oid, how.reason)
    return seat.offer(tag, dry_run=how.dry_run, options=("pipeline.detach",) if detach else ())


def _of_remote(seat: Seat, ref: str | None, commit: str | None) -> tuple[RefName, Oid]:
    """The commit that a branch or tag of the remote is at now, or one that the remote has. Raises UsageError."""
    if ref and commit:
        raise UsageError("a signed tag names a commit, and not also a ref", hint="leave out --ref or --commit")
    if not commit:
        name, oid = seat.head(ref or "")
        if not seat.has(oid):
            raise UsageError(f"commit {oid[:12]} of {_short(name)} is not in this clone", hint=f"git fetch {seat.remote}")
        return RefName(name), Oid(oid)
    found = history.resolve(seat.git, commit)
    if found is None:
        raise UsageError(f"{commit} is no commit here", hint=f"git fetch {seat.remote}")
    where = seat.git.run("for-each-ref", f"--contains={found}", "--format=%(refname)", f"refs/remotes/{seat.remote}", "refs/tags")
    if not where.strip():
        raise UsageError(
            f"{seat.remote} does not have {found[:12]} as far as this clone knows", hint="push a branch with it first"
        )
    return RefName(where.decode(errors="backslashreplace").splitlines()[0]), Oid(found)


def _demand(git: Git, database: Database | None, pipeline: str, ref: RefName, oid: Oid, given: Given) -> Start:
    """Raises UsageError or DefinitionError if that commit's pipeline cannot be started so."""
    entry = _entry(git, database, pipeline, oid, ref)
    return Start(pipeline=PipelineName(entry.pipeline), commit=oid, ref=ref, variables=_values(entry, given))


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


def _entry(git: Git, database: Database | None, pipeline: str, oid: Oid, ref: RefName) -> Entry:
    """What the commit says of the pipeline. Raises UsageError or DefinitionError."""
    place = f"{_short(ref)} ({oid[:12]})"
    tree = definition_trees(git, [oid]).get(oid)
    if not tree:
        raise UsageError(f"{place} has no pipelines: there are no files .pipeline/*.yaml")
    found = verdict(git, database, tree, oid)
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
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/").removeprefix("refs/remotes/")
