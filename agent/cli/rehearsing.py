"""How `git pipeline run` does it: what is run, what is left out, and how it is shown while it goes on."""

import getpass
import hashlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from agent.admin.leftovers import prune
from agent.cli import console
from agent.cli.check import judged
from agent.cli.graph import choose as choose_pipeline
from agent.cli.questions import ask
from agent.cli.remote import discover
from agent.cli.source import choose
from agent.cli.worktree import commit_of, work_tree
from agent.config import parse
from agent.errors import DefinitionError, UsageError
from agent.execution.state import ExecutionState
from agent.git.command import Git
from agent.git.refs import default_branch
from agent.git.snapshot import snapshot
from agent.git.tree import CommitTree, definition_trees
from agent.model.execution import Execution, TriggerType
from agent.model.ids import ExecutionId, Oid, RefName
from agent.model.outcome import Status
from agent.model.plan import Plan, Run
from agent.plan import build, parameters
from agent.plan.part import Part, part
from agent.results import recording
from agent.state.queue import Row
from agent.worker import terms
from agent.worker.follow import Followed, Output, follow, let_go
from agent.worker.rehearsal import Rehearsal, Stage

Given = tuple[tuple[str, str], ...]
_ELSEWHERE = (  # lines of a feed that speak of notes and of pushed tags, of which there are none here
    *("  to read it: ", "  or with git alone: ", "  to approve: ", "  to reject: "),
)
_STOPPING = "stopping; what runs is being ended"
_STOPPED = 130


class Subject(NamedTuple):
    """What is run: a commit, the ref it would have, and in words what it is."""

    commit: Oid
    ref: RefName
    words: str


class Settings(NamedTuple):
    """What may be reached from here."""

    config: Path | None
    secrets: tuple[str, ...]
    values: Mapping[str, str]  # of the env-like file


class Wanted(NamedTuple):
    """What the command line asks for."""

    pipeline: str
    only: str
    commit: str | None
    given: Given
    env_file: Path | None
    secrets: tuple[str, ...]
    deploy: bool
    approvals: bool
    config: Path | None
    shell_on_failure: bool


def rehearse(wanted: Wanted) -> int:
    """Run it and show it; the exit code. Raises AgentError."""
    source = discover(os.environ)
    values = _read(wanted.env_file)
    rehearsal = Rehearsal(_home(source), source, os.environ | values, wanted.config and wanted.config.resolve())
    subject = _subject(source, rehearsal, wanted.commit)
    whole, variables = _plan(rehearsal.git, subject, wanted.pipeline, wanted.given, values)
    approver = getpass.getuser() if wanted.approvals else ""
    chosen = part(whole, _chosen(whole, wanted.only), reaches_out=wanted.deploy, approver=approver)
    settings = _config(chosen.plan, subject.ref, Settings(wanted.config, wanted.secrets, values))
    paint = console.Paint(console.colours(os.environ, sys.stdout))
    _announce(subject, chosen, paint)
    if not chosen.plan.stages:
        click.echo("nothing is left to run")
        return 0
    with rehearsal.alone(settings, keeps_failed=wanted.shell_on_failure) as stage:
        row = stage.queue(chosen.plan, subject.commit, subject.ref, variables)
        stopped = _Show(stage, row, paint).play()
        status = Status(stage.row(row.id).status)
        if wanted.shell_on_failure and not stopped:
            _open_shells(stage, row)
        prune(rehearsal, datetime.now(UTC))
    return _STOPPED if stopped else int(status is not Status.SUCCEEDED)


def _home(source: Git) -> Path:
    """Beside other caches of the user, one for each repository."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    common = os.path.realpath(os.fsdecode(source.run("rev-parse", "--git-common-dir")).strip())
    return Path(cache) / "git-pipeline" / "run" / f"{hashlib.sha256(common.encode()).hexdigest()[:16]}.git"


def _read(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}


def _subject(source: Git, rehearsal: Rehearsal, commit: str | None) -> Subject:
    branch = default_branch(source)
    ref = RefName(branch if branch and branch.startswith("refs/heads/") else "refs/heads/HEAD")
    if commit:
        oid = Oid(commit_of(source, commit))
        return Subject(oid, ref, f"commit {oid[:12]}")
    root = work_tree()
    if not root:
        raise UsageError("there is no working tree here", hint="name a commit: git pipeline run --commit main")
    oid = snapshot(source, Path(root), rehearsal.repository)
    is_head = source.call("rev-parse", "-q", "--verify", "HEAD")[1].decode().strip() == oid
    return Subject(oid, ref, f"the work tree, which is commit {oid[:12]}" if is_head else "the work tree with its changes")


def _plan(git: Git, subject: Subject, name: str, given: Given, values: Mapping[str, str]) -> tuple[Plan, dict[str, str]]:
    """The whole plan, and the values of its variables. Raises DefinitionError or UsageError."""
    loaded = judged(CommitTree(git, subject.commit))
    if loaded.diagnostics:
        raise DefinitionError(loaded.report)
    found = choose_pipeline(loaded.pipelines, name, subject.words)
    if len(found) > 1:
        raise UsageError("there are several pipelines", hint=f"name one: git pipeline run {found[0].name}")
    entry = next(entry for entry in loaded.entries if entry.pipeline == found[0].name)
    from_file = tuple((one.name, values[one.name]) for one in entry.variables if one.name in values)
    named = {key for key, _ in given}
    try:
        variables = parameters.check(entry, (*(pair for pair in from_file if pair[0] not in named), *given))
    except UsageError as error:
        raise UsageError(error.message, hint=error.hint.replace("git push -o pipeline.var.", "-v ")) from error
    tree = definition_trees(git, [subject.commit]).get(subject.commit, "")
    return build.build(found[0], variables, tree), variables


def _chosen(plan: Plan, words: str) -> frozenset[tuple[str, str]]:
    nothing = Execution(
        id=ExecutionId("0" * 26), pipeline=plan.pipeline, number=0, commit=Oid(""), ref=RefName(""),
        trigger=TriggerType.MANUAL, created_at=datetime.now(UTC),
    )  # fmt: skip
    told = recording.make(nothing, plan, ExecutionState(), datetime.now(UTC))
    return frozenset((stage.name, action.name) for stage, action in choose(told, words))


def _config(plan: Plan, ref: RefName, settings: Settings) -> str:
    """Everything is allowed to the user on the user's own machine; --config stands before that, and may forbid it."""
    known = parse(terms.read((settings.config,))).secrets if settings.config else {}
    wanted = {name for stage in plan.stages for action in stage.actions for name in action.secrets} - known.keys()
    given = sorted(name for name in wanted if name in settings.secrets or name in settings.values)
    told = [f'[secrets.{name}]\nenvironment = "{name}"\nunprotected = true\n' for name in given]
    short = ref.removeprefix("refs/heads/")
    ours = "" if settings.config else f'protected = ["{short}"]\n[local]\nenabled = true\n'
    return 'linger = "PT0S"\n' + ours + "".join(told)


def _announce(subject: Subject, chosen: Part, paint: console.Paint) -> None:
    click.echo(f"{chosen.plan.pipeline} of {subject.words}, on this machine")
    for place, why in chosen.left:
        click.echo(paint(f"{place}  skipped: {why}", console.DIM), color=paint.on)
    local = [
        f"{stage.name}/{action.name}"
        for stage in chosen.plan.stages
        for action in stage.actions
        if isinstance(action.work, Run) and action.work.runner == "local"
    ]
    if local:
        click.echo(paint(f"{', '.join(local)}: not in a container, but with your rights", console.DIM), color=paint.on)
    sys.stdout.flush()


class _Lines(Output):
    """The feed as people read it here."""

    def __init__(self, paint: console.Paint) -> None:
        super().__init__(sys.stdout.fileno())
        self._paint = paint

    def write(self, lines: Sequence[str]) -> None:
        super().write([self._coloured(line) for line in lines if not line.startswith(_ELSEWHERE)])

    def _coloured(self, line: str) -> str:
        if " | " in line:
            source, bar, said = line.partition(" | ")
            return self._paint(source + bar, console.DIM) + said
        for word in ("succeeded", "failed", "stopped"):
            if f"  {word}" in line:
                return self._paint.status(line, word.capitalize())
        return line


class _Show:
    """One execution on the screen."""

    def __init__(self, stage: Stage, row: Row, paint: console.Paint) -> None:
        self._stage = stage
        self._row = row
        self._lines = _Lines(paint)
        self._start = 0

    def play(self) -> bool:
        """Run it and show it, and put its questions; True if it was stopped by Ctrl-C, at which everything it started ends."""
        stopped = self._turn()
        try:
            while not stopped and ask(self._stage, self._row):
                stopped = self._turn()
        except click.Abort:
            click.echo(f"\n{_STOPPING}", err=True)
            self._stage.stop(self._row)
            self._turn()
            return True
        return stopped

    def _turn(self) -> bool:
        """Until it has ended or waits for an answer; True if it was stopped."""
        stopped = False

        def watch() -> None:
            nonlocal stopped
            while not self._follow():
                stopped = True
                click.echo(_STOPPING, err=True)
                self._stage.stop(self._row)

        self._stage.play(watch)
        self._start = let_go(self._stage.home, self._row.id)
        return stopped

    def _follow(self) -> bool:
        feed = Path(self._stage.home) / "executions" / self._row.id / "feed"
        followed = Followed(self._row.id, f"{self._row.pipeline} #{self._row.number}", self._start)
        try:
            follow(self._stage.home, [followed], self._lines, time.monotonic, time.sleep)
        except KeyboardInterrupt:
            self._start = feed.stat().st_size if feed.exists() else 0
            return False
        return True


def _open_shells(stage: Stage, row: Row) -> None:
    from agent.cli.shell import open_shell

    for failed in stage.failed(row):
        try:
            open_shell(failed)
        finally:
            stage.discard(row, failed)
