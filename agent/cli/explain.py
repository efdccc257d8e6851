"""`git pipeline explain`: which pipelines a push would start, and why not the others, trigger by trigger."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

import click

from agent.cli import console
from agent.cli.remote import discover, remote_of
from agent.cli.worktree import commit_of
from agent.errors import AgentError, DefinitionError, UsageError
from agent.git.command import Git
from agent.git.history import Commit, changed_paths, commit_facts
from agent.git.refs import default_branch, read_ref
from agent.git.tree import CommitTree
from agent.model.ids import Oid, RefName
from agent.model.push import RefUpdate
from agent.model.trigger import Entry, ScheduleTrigger
from agent.plan.parameters import check
from agent.plan.schedule import next_due
from agent.plan.triggers import Decision, Match, NoMatch, decide


class Comparison(NamedTuple):
    """The push to explain, and in words what its commit is compared with."""

    update: RefUpdate
    words: str


@click.command(short_help="say which pipelines a push would start, and why not the others")
@click.argument("revision", metavar="[REV]", default="HEAD")
@click.option("--branch", metavar="BRANCH", help="the branch that would be pushed  [default: the current one]")
@click.option("--tag", metavar="TAG", help="explain the push of a tag instead")
@click.option("--against", metavar="REV", help="what the branch is at before the push  [default: what the remote has]")
def command(revision: str, branch: str | None, tag: str | None, against: str | None) -> None:
    """Say which pipelines a push of REV would start, and why not the others, trigger by trigger."""
    git = discover(os.environ)
    commit = commit_facts(git, commit_of(git, revision))
    if tag and (branch or against):
        raise UsageError("a tag is neither of a branch nor compared with anything", hint="leave out --branch and --against")
    compared = _tag(commit, tag) if tag else _branch(git, commit, branch or _current(git), against)
    from agent.definition.load import load  # YAML and pydantic

    loaded = load(CommitTree(git, commit.id))
    if loaded.diagnostics:
        raise DefinitionError(f"the push would be refused:\n{loaded.report}")
    for line in explain(git, loaded.entries, commit, compared, datetime.now(UTC)):
        click.echo(line)


def explain(git: Git, entries: Sequence[Entry], commit: Commit, compared: Comparison, now: datetime) -> Iterator[str]:
    """The lines to show: the push, then a table of its pipelines."""
    name = compared.update.branch or f"tag {compared.update.tag}"
    yield f"push of {commit.id[:12]} ({console.cut(commit.subject, 60)}) to {name}, {compared.words}"
    if not entries:
        yield "the commit has no pipelines: there are no files .pipeline/*.yaml"
        return
    changed = cache(lambda: changed_paths(git, compared.update))
    rows = []
    for entry in entries:
        verdict, *reasons = _verdict(entry, decide(entry, compared.update, changed, lambda: commit.message))
        reasons += [_schedule(schedule, now) for schedule in entry.schedules]
        rows += [(entry.pipeline, verdict, reasons[0]), *(("", "", reason) for reason in reasons[1:])]
    yield ""
    for cells in console.table(rows):
        yield "  ".join(cells).rstrip()


def _verdict(entry: Entry, decision: Decision) -> Iterator[str]:
    """The verdict in a word or two, then the reasons."""
    match decision:
        case Match(trigger, reason):
            missing = _missing(entry)
            yield "needs a value" if missing else "starts"
            yield _numbered(entry, trigger, reason)
            if missing:
                yield missing
        case NoMatch(reasons):
            yield "does not start"
            each = len(reasons) == len(entry.pushes)
            yield from (_numbered(entry, index, reason) if each else reason for index, reason in enumerate(reasons))


def _numbered(entry: Entry, index: int, reason: str) -> str:
    return f"push trigger {index + 1}: {reason}" if len(entry.pushes) > 1 else reason


def _missing(entry: Entry) -> str:
    """What a push without options would lack."""
    try:
        check(entry, ())
    except UsageError as error:
        return f"{error.message}: {error.hint}" if error.hint else error.message
    return ""


def _schedule(schedule: ScheduleTrigger, now: datetime) -> str:
    words = f"by the clock: {schedule.cron} {schedule.timezone} on {schedule.branch}"
    try:
        due = next_due(schedule, now)
    except AgentError as error:
        return f"{words}, but {error.message}"
    return f"{words}, next {due:%Y-%m-%d %H:%M} UTC" if due else f"{words}, which never comes"


def _tag(commit: Commit, tag: str) -> Comparison:
    zero = Oid("0" * len(commit.id))
    return Comparison(RefUpdate(zero, commit.id, RefName(f"refs/tags/{tag}")), "which is not compared with anything")


def _branch(git: Git, commit: Commit, branch: str, against: str | None) -> Comparison:
    """What the server would compare: the old commit of the branch, or for a new one where it left what the server has."""
    ref = RefName(f"refs/heads/{branch}")
    if against:
        base = commit_of(git, against)
        return Comparison(RefUpdate(Oid(base), commit.id, ref, base), f"compared with {against} ({base[:12]})")
    remote = remote_of(git)
    place = f"{remote}/{branch}" if remote else branch
    old = read_ref(git, f"refs/remotes/{place}" if remote else ref)
    if old == commit.id:
        return _again(commit, ref, place)
    if old:
        return Comparison(RefUpdate(old, commit.id, ref, old), f"compared with {place} ({old[:12]})")
    base = _left_at(git, commit.id, remote)
    words = f"a new branch that begins at {base[:12]}" if base else "a new branch with a history of its own"
    return Comparison(RefUpdate(Oid("0" * len(commit.id)), commit.id, ref, base), words)


def _again(commit: Commit, ref: RefName, place: str) -> Comparison:
    """A commit that was pushed already is explained as if it had been pushed alone."""
    base = commit.parents[0] if commit.parents else Oid("")
    words = f"which {place} is at already; shown as the push of this commit alone (--against REV for more)"
    return Comparison(RefUpdate(base or Oid("0" * len(commit.id)), commit.id, ref, base), words)


def _left_at(git: Git, commit: str, remote: str) -> str:
    """The newest commit of the history that the remote has; empty if it has none of it. See `git.history.with_bases`."""
    known = f"--remotes={remote}" if remote else "--branches"
    lines = git.run("rev-list", "--boundary", commit, "--not", known).decode().split()
    boundary = [line[1:] for line in lines if line.startswith("-")]
    if boundary and len(lines) > len(boundary):
        code, out, _ = git.call("merge-base", "--independent", *boundary[:64])
        return boundary[0] if code else out.decode().split("\n")[0]
    if lines and not boundary:
        return ""
    code, out, _ = git.call("merge-base", commit, f"refs/remotes/{remote}/HEAD" if remote else "HEAD")
    return "" if code else out.decode().strip()


def _current(git: Git) -> str:
    ref = default_branch(git) or ""
    if not ref.startswith("refs/heads/"):
        raise UsageError("HEAD is not on a branch", hint="say which branch would be pushed: --branch NAME")
    return ref.removeprefix("refs/heads/")
