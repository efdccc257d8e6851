"""`run`: a script, and all that an attempt does around it.

Allowed? - workspace and caches - the script, wherever its executor runs it - reports, outputs, artifacts, caches. Each step can
be repeated: an attempt that is performed again after a crash finds its job by its id, and collects the same things once more.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.actions import caching, environment, outputs
from agent.actions.base import Attempt, Context
from agent.actions.caching import Used
from agent.actions.outputs import OutputError
from agent.artifacts import pack, tree
from agent.artifacts.base import ArtifactError
from agent.errors import AgentError, EnvironmentFault, RefusedError
from agent.executors.base import Ending, Executor, Job
from agent.model.outcome import ArtifactRecord, Outcome, Reason, Status, TestSummary
from agent.model.plan import Run
from agent.results import junit

MAX_REPORTS = 1000  # files; further ones are left out, with a notice

_EXITS = {126: "a command could not be executed", 127: "a command was not found"}
_REASONS: dict[type[AgentError], Reason] = {
    RefusedError: Reason.POLICY,
    ArtifactError: Reason.ARTIFACT,
    OutputError: Reason.VARIABLE,
}


class Prepared(NamedTuple):
    """A job that is ready to run, and where."""

    executor: Executor
    job: Job
    caches: tuple[Used, ...]


class Phases:
    """Seconds by phase."""

    def __init__(self, context: Context) -> None:
        self._now = context.now
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = self._now()
        try:
            yield
        finally:
            self.seconds[name] = (self._now() - start).total_seconds()


class RunAction:
    """An Action for `model.plan.Run`."""

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        phases = Phases(context)
        try:
            context.permit(attempt)
            with phases.phase("workspace"):
                prepared = prepare(attempt, context)
        except (RefusedError, ArtifactError) as error:
            return msgspec.structs.replace(failure(error), timings=phases.seconds)
        try:
            ending = prepared.executor.run(prepared.job, context.log, context.stop)
            with phases.phase("collect"):
                caching.hide(prepared.caches, prepared.job, prepared.executor.place(prepared.job))
                outcome = collect(attempt, context, prepared, ending)
        finally:
            caching.release(prepared.caches, context)
        return msgspec.structs.replace(outcome, timings=phases.seconds | ending.timings)


def prepare(attempt: Attempt, context: Context) -> Prepared:
    """Workspace, control directory, caches and environment of an attempt; the same ones when called again.

    Raises ArtifactError for a cache path that leads out, EnvironmentFault if something cannot be made.
    """
    work = work_of(attempt)
    workspace, control = context.workspace(attempt), context.control(attempt)
    _furnish(control)
    executor = context.executor(work.runner)
    bare = msgspec.structs.replace(job_of(attempt, work, workspace, control), secrets=context.secrets(attempt))
    places = executor.place(bare)
    home = "" if work.hosts else f"{places.control}/{environment.HOME}"
    env = environment.merged(attempt, places, context.environment(attempt), home)
    for name in environment.refused(attempt):
        context.log.notice(f"env {name} has no effect: names that start with {environment.OURS} are the agent's")
    used = caching.use(attempt, work, workspace, context)
    job = msgspec.structs.replace(bare, env=env)
    return Prepared(executor, msgspec.structs.replace(job, mounts=caching.show(used, job, places, context.log)), used)


def collect(attempt: Attempt, context: Context, prepared: Prepared, ending: Ending) -> Outcome:
    """What the script left: reports always; outputs, artifacts and caches if it succeeded."""
    tests = _reports(attempt, context, prepared.job.workspace)
    if ending.reason or ending.exit_code != 0:
        return _ended(ending, tests)
    try:
        values = _outputs(attempt, context, prepared.job.control)
        artifacts = tuple(_artifacts(attempt, context, prepared.job))
    except (OutputError, ArtifactError) as error:
        return msgspec.structs.replace(failure(error), exit_code=ending.exit_code, image=ending.image, tests=tests)
    caching.save(prepared.caches, context)
    return Outcome(
        status=Status.SUCCEEDED,
        exit_code=ending.exit_code,
        outputs=values,
        artifacts=artifacts,
        tests=tests,
        image=ending.image,
        message=ending.message,
    )


def work_of(attempt: Attempt) -> Run:
    """The script of the attempt."""
    work = attempt.action.work
    if not isinstance(work, Run):
        raise TypeError(f"action {attempt.action.name} is no `run`")
    return work


def job_of(attempt: Attempt, work: Run, workspace: Path, control: Path) -> Job:
    """The job but for what depends on where it runs."""
    execution = attempt.execution
    return Job(
        id=attempt.id,
        execution=execution.id,
        labels={
            "pipeline": execution.pipeline,
            "number": str(execution.number),
            "stage": attempt.stage.name,
            "action": attempt.action.name,
            "attempt": str(attempt.number),
        },
        script=work.script,
        workspace=workspace,
        control=control,
        deadline=attempt.deadline,
        shell=work.shell,
        image=work.image,
        workdir=work.workdir,
        network=work.network,
        user=work.user,
        services=work.services,
        resources=work.resources,
    )


def _furnish(control: Path) -> None:
    """The output file and HOME, writable for whoever the job runs as; the directory above lets nobody else in."""
    output, home = control / environment.OUTPUT, control / environment.HOME
    try:
        with suppress(FileExistsError):
            os.close(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            output.chmod(0o666)
        with suppress(FileExistsError):
            home.mkdir()
            home.chmod(0o777)
    except OSError as error:
        raise EnvironmentFault(
            f"{control}: the control directory cannot be written: {error}", hint="is the disk full?"
        ) from error


def _outputs(attempt: Attempt, context: Context, control: Path) -> dict[str, str]:
    try:
        with os.fdopen(tree.open_regular(control / environment.OUTPUT), "rb") as file:
            content = file.read(outputs.LIMIT + 1)
    except FileNotFoundError:
        content = b""
    except OSError as error:
        raise OutputError(f"$PIPELINE_OUTPUT cannot be read: {error}", hint="append to it with >>") from error
    found = outputs.parse(content, attempt.action.outputs)
    if found.undeclared:
        context.log.notice(f"not declared in `outputs`, so left out: {', '.join(found.undeclared)}")
    return found.values


def _artifacts(attempt: Attempt, context: Context, job: Job) -> Iterator[ArtifactRecord]:
    for output in attempt.action.artifacts:
        collected = pack.collect(job.workspace, output, job.control)
        context.artifacts.put(collected.archive, collected.record.digest)
        yield collected.record


def _reports(attempt: Attempt, context: Context, workspace: Path) -> TestSummary | None:
    if not attempt.action.reports:
        return None
    try:
        selection = tree.Selection(attempt.action.reports)
        summed = junit.summarize(_read_reports(workspace, selection))
    except EnvironmentFault as error:
        context.log.notice(f"the test reports cannot be read: {error.message}")
        return None
    for pattern in selection.unused:
        context.log.notice(f"no test report matches {pattern}")
    for notice in summed.notices:
        context.log.notice(notice)
    return summed.summary


def _read_reports(workspace: Path, selection: tree.Selection) -> Iterator[tuple[str, bytes]]:
    files = (found for found in tree.select(workspace, selection) if found.is_file)
    for found in islice(files, MAX_REPORTS):
        with suppress(OSError):
            yield found.name, tree.read(found, junit.MAX_SIZE + 1)


def _ended(ending: Ending, tests: TestSummary | None) -> Outcome:
    """The outcome of a script that did not succeed."""
    stopped = ending.reason is Reason.STOPPED
    lost = ending.reason is None and ending.exit_code is None
    return Outcome(
        status=Status.ABANDONED if stopped else Status.FAILED,
        reason=Reason.LOST if lost else ending.reason or Reason.EXIT,
        message=ending.message or said(ending, tests),
        exit_code=ending.exit_code,
        image=ending.image,
        tests=tests,
    )


def said(ending: Ending, tests: TestSummary | None) -> str:
    if ending.reason or ending.exit_code is None:
        return f"the script did not end by itself: {ending.reason or Reason.LOST}"
    why = _EXITS.get(ending.exit_code) or _signal(ending.exit_code)
    bad = tests.failures + tests.errors if tests else 0
    counted = f"; {bad} of {tests.tests} tests failed" if tests and bad else ""
    return f"the script ended with exit code {ending.exit_code}" + (f" ({why})" if why else "") + counted


def _signal(exit_code: int) -> str:
    try:
        return f"ended by {signal.Signals(exit_code - 128).name}"
    except ValueError:
        return ""


def failure(error: AgentError) -> Outcome:
    reason = next(reason for kind, reason in _REASONS.items() if isinstance(error, kind))
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    return Outcome(status=Status.FAILED, reason=reason, message=message)
