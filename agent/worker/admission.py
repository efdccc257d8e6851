"""Which pipelines a push starts, with which variables, and what the pusher should know about those it does not start."""

from collections.abc import Iterable
from typing import NamedTuple

from agent.errors import EnvironmentFault, UsageError
from agent.git.command import Git
from agent.git.history import Commit, changed_paths, commits
from agent.model.push import Push, RefUpdate
from agent.model.trigger import Entry
from agent.plan.parameters import check, share
from agent.plan.triggers import SKIP, Match, NoMatch, decide
from agent.state.database import Database
from agent.worker.judge import Judged, Trees, entries


class Start(NamedTuple):
    """An execution to be: `commit` is what the ref points at, past any tag object."""

    pipeline: str
    commit: str
    update: RefUpdate
    variables: dict[str, str]


class Matched(NamedTuple):
    """A pipeline that an update starts."""

    entry: Entry
    update: RefUpdate


def starts(git: Git, database: Database | None, push: Push, trees: Trees) -> tuple[tuple[Start, ...], tuple[str, ...]]:
    """All executions that a push starts, in the order of its updates, and lines for the pusher about those it does not.

    `trees` names the `.pipeline/` tree of each new object. Raises EnvironmentFault if git or the database fails.
    """
    found, lines, read = matched(git, database, push, trees)
    started = []
    for entry, update in found:
        declared = {variable.name for variable in entry.variables}
        try:
            variables = check(entry, [given for given in push.options.variables if given[0] in declared])
            started.append(Start(entry.pipeline, read.id(update), update, variables))
        except UsageError as error:
            lines.append(f"{entry.pipeline} is not started: {error}")
    return tuple(started), tuple(lines)


def objection(git: Git, database: Database | None, push: Push, trees: Trees) -> str:
    """What is wrong with the variables that a push gives, judged before it is accepted; empty if nothing is."""
    found, _, _ = matched(git, database, push, trees)
    by_name = {entry: None for entry, _ in found}
    try:
        share(list(by_name), push.options.variables)
    except UsageError as error:
        return str(error)
    return ""


def matched(git: Git, database: Database | None, push: Push, trees: Trees) -> tuple[list[Matched], list[str], "_Commits"]:
    """The pipelines that match, one or several for each update, and lines about those that were kept from it."""
    updates = [update for update in push.updates if trees.get(update.new) and (update.branch or update.tag)]
    read = _Commits(git, updates)
    found: list[Matched] = []
    lines: dict[str, None] = {}
    judged = Judged(git, database)
    for update in updates:
        try:
            verdict = judged.of(trees[update.new], update.new)
            matches, reasons = _decide_all(git, update, entries(verdict), push, read)
        except EnvironmentFault:
            if read.has(update):
                raise
            matches, reasons = [], [f"nothing is started for {update.ref}: {update.new} is not in the repository any more"]
        else:
            if not verdict.ok:
                reasons = [
                    f"nothing is started for {update.branch or update.tag}: its pipeline files are wrong (git pipeline check)"
                ]
        found += matches
        lines |= dict.fromkeys(reasons)
    return found, list(lines), read


def _decide_all(
    git: Git, update: RefUpdate, known: Iterable[Entry], push: Push, read: "_Commits"
) -> tuple[list[Matched], list[str]]:
    """The pipelines that one update starts, and lines about those that were kept from it."""
    paths = _Paths(git, update)
    found, lines = [], []
    for entry in known:
        decision = decide(entry, update, paths.changed, lambda: read.message(update), skip=push.options.skip)
        if isinstance(decision, Match):
            found.append(Matched(entry, update))
        elif line := _kept_from(entry, push, decision):
            lines.append(line)
    return found, lines


def _kept_from(entry: Entry, push: Push, decision: NoMatch) -> str:
    """A line only where the pusher asked for it: that a trigger does not match is the usual case, and silent."""
    if push.options.skip and entry.pushes:
        return "nothing is started, as the push asks to skip"
    asked = [reason for reason in decision.reasons if SKIP.search(reason)]
    return f"{entry.pipeline} is not started: {asked[0]}" if asked else ""


class _Paths:
    """The changed paths of one update, asked for once for all pipelines."""

    def __init__(self, git: Git, update: RefUpdate) -> None:
        self._git = git
        self._update = update
        self._asked = False
        self._paths: tuple[str, ...] | None = None

    def changed(self) -> tuple[str, ...] | None:
        if not self._asked:
            self._asked, self._paths = True, changed_paths(self._git, self._update)
        return self._paths


class _Commits:
    """The commits that a push brings, read all at once when the first is asked for."""

    def __init__(self, git: Git, updates: Iterable[RefUpdate]) -> None:
        self._git = git
        self._names = [update.new for update in updates]
        self._asked = False
        self._found: dict[str, Commit] = {}

    def id(self, update: RefUpdate) -> str:
        return self._get(update).id

    def message(self, update: RefUpdate) -> str:
        return self._get(update).message

    def has(self, update: RefUpdate) -> bool:
        """False for a commit that is gone: power loss or git gc can take one that a push brought."""
        if not self._asked:
            self._asked, self._found = True, commits(self._git, self._names)
        return update.new in self._found

    def _get(self, update: RefUpdate) -> Commit:
        if not self.has(update):
            raise EnvironmentFault(f"{self._git.git_dir} has no commit {update.new}", hint="push it again")
        return self._found[update.new]
