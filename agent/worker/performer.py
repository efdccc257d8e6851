"""Performs attempts: gives each action what it may use, and turns whatever happens into the event that ends the attempt."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from msgspec.structs import replace

from agent import plugins
from agent.actions import notify as notify_action
from agent.actions import run as run_action
from agent.actions.base import Action, Attempt
from agent.actions.children import Pipelines
from agent.actions.server import Server
from agent.artifacts import pack
from agent.artifacts.base import ArtifactError, ArtifactStore
from agent.artifacts.cache import CacheStore
from agent.aws.session import Clients, Sessions
from agent.errors import AgentError, DefinitionError, EnvironmentFault, RefusedError
from agent.execution.events import ActionEnded
from agent.executors.base import Executor, LogSink
from agent.executors.build import Builder
from agent.executors.containers import ContainerExecutor
from agent.executors.logs import LogFile
from agent.git.checkout import Checkouts
from agent.git.command import Git
from agent.log import Log
from agent.model.execution import Execution
from agent.model.ids import ActionName, ExecutionId, StageName
from agent.model.notice import Notice
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import Approval, Deploy, Run, Use, Work
from agent.plan.variables import Resolved, Scope, Unresolved, resolve
from agent.secrets.redact import Redactor
from agent.settings import Notify
from agent.worker import accounts, servers
from agent.worker.children import Neighbours
from agent.worker.executors import Executors
from agent.worker.feed import Feed
from agent.worker.lookup import Lookup
from agent.worker.machine import Places
from agent.worker.places import Directories
from agent.worker.running import Running
from agent.worker.terms import Terms
from agent.worker.vault import Vault
from agent.workspaces.base import Workspaces

AHEAD = timedelta(hours=1)  # the deadline of a job that is only prepared; it gets its own when it starts


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What all attempts of a repository share."""

    directories: Directories
    executors: Executors
    checkouts: Checkouts
    workspaces: Workspaces
    artifacts: ArtifactStore
    caches: CacheStore
    terms: Callable[[ExecutionId], Terms]  # what an execution runs under
    sessions: Sessions
    vault: Vault
    machine: Places
    send: Callable[[Notify, Notice], None]  # for good, once it returns
    lookup: Lookup
    neighbours: Neighbours
    feeds: Callable[[str], Feed]
    log: Log
    clock: Callable[[], datetime]

    def executor(self, name: str, execution: ExecutionId) -> Executor:
        """The executor of this name as the execution has it. Raises RefusedError if it has none."""
        return self.executors.get(name, self.terms(execution).config)


class AttemptContext:
    """The Context of one attempt (actions/base.py)."""

    def __init__(self, tools: Tools, terms: Terms, log: LogFile, stop: Event, hidden: Redactor) -> None:
        self.log: LogSink = log
        self.stop = stop
        self.now = tools.clock
        self._tools = tools
        self._terms = terms
        self._hidden = hidden

    @property
    def artifacts(self) -> ArtifactStore:
        return self._tools.artifacts

    @property
    def caches(self) -> CacheStore:
        return self._tools.caches

    def executor(self, name: str) -> Executor:
        return self._tools.executors.get(name, self._terms.config)

    def workspace(self, attempt: Attempt) -> Path:
        tree = self._tools.checkouts.acquire(attempt.execution.commit, attempt.execution.id)
        workspace = self._tools.workspaces.create(attempt.id, (tree,))
        if attempt.action.inputs:
            self._unpack_all(attempt, workspace, self.control(attempt) / "unpacked")
        return workspace

    def _unpack_all(self, attempt: Attempt, workspace: Path, done: Path) -> None:
        """The inputs; once, as the job may have changed them since."""
        if not done.exists():
            for wanted in attempt.action.inputs:
                self._unpack(attempt, wanted.name, workspace, wanted.path)
            done.touch()

    def _unpack(self, attempt: Attempt, name: str, workspace: Path, path: str) -> None:
        record = attempt.inputs.get(name)
        if record is None:
            raise ArtifactError(f"artifact {name} was not produced by any action that ran", hint="was it optional?")
        pack.unpack(self._tools.artifacts.fetch(record.digest), workspace, path)

    def control(self, attempt: Attempt) -> Path:
        control = self._tools.directories.control(attempt.execution.id, attempt.id)
        control.mkdir(parents=True, exist_ok=True, mode=0o700)
        return control

    def secrets(self, attempt: Attempt) -> Path | None:
        return self._tools.vault.directory(attempt) if attempt.action.secrets else None

    def environment(self, attempt: Attempt) -> Mapping[str, str]:
        return {}

    @property
    def git(self) -> Git:
        return self._tools.lookup.git

    def permit(self, attempt: Attempt) -> None:
        self._terms.permit.check(attempt)

    def trusted(self, attempt: Attempt) -> bool:
        return self._terms.permit.is_protected(attempt.execution.ref)

    def layer(self, attempt: Attempt, name: str, lowers: tuple[Path, ...]) -> Path:
        return self._tools.workspaces.create(f"{attempt.id}.{name}", lowers)

    def server(self, attempt: Attempt, where: str) -> Server:
        return servers.server(self._terms, self._hidden, attempt, where)

    def pipelines(self, attempt: Attempt, repository: str, pipeline: str) -> Pipelines:
        return self._tools.neighbours.of(self._terms.permit, attempt, repository, pipeline)

    def clients(self, attempt: Attempt, account: str, region: str) -> Clients:
        return accounts.clients(self._terms.permit, self._tools.sessions, attempt, account, region)

    def images(self, attempt: Attempt, network: bool) -> Builder:
        self._terms.permit.check_build(attempt, network)
        executor = self.executor("docker")
        if not isinstance(executor, ContainerExecutor):
            raise RefusedError("there is no engine here that builds images")
        return executor.images

    def permit_image(self, image: str) -> None:
        self._terms.permit.check_image(image)

    def login(self, attempt: Attempt, repository: str) -> dict[str, str]:
        login = accounts.login(self._terms.permit, self.clients, self._terms.secrets.get, attempt, repository)
        self._hidden.hide(login[key].encode() for key in login if key == "password")
        return login

    def send(self, attempt: Attempt, to: str, subject: str, message: str) -> None:
        rule = self._terms.permit.destination(attempt, to)
        self._tools.send(rule, notify_action.said(attempt, subject, message, self.now()))


class Performer:
    """Makes the work of attempts, and cleans up after them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._preparing: dict[str, Thread] = {}

    def work(
        self, running: Running, stage: str, action: str, attempt: int, *, resumed: bool, since: datetime | None = None
    ) -> Callable[[Event], ActionEnded]:
        """What a thread of the pool is to do for an attempt of the plan, which could have started `since`; never raises."""
        bare = self._attempt(running, stage, action, attempt, resumed)
        try:
            values = self._tools.lookup.scope(running, attempt)
        except EnvironmentFault as fault:  # such as a commit that is gone: that of one execution must not stop the others
            outcome = self._failed(bare, fault)
            return lambda _: self._ended(bare, outcome, 0.0)
        return self.perform(bare, values, since)

    def perform(
        self, attempt: Attempt, values: Scope | None = None, since: datetime | None = None, group: str = "actions"
    ) -> Callable[[Event], ActionEnded]:
        """What a thread of the pool is to do; never raises. Without `values` everything is looked up already.

        `group` of plug-ins is where the provider of the attempt's work is from.
        """
        ready = since or self._tools.clock()

        def perform(stop: Event) -> ActionEnded:
            waited = 0.0
            try:
                with nullcontext(True) if attempt.action.waits else self._tools.machine.one(stop) as has_place:
                    waited = (self._tools.clock() - ready).total_seconds()
                    outcome = self._perform(attempt, values, stop, group) if has_place else _stopped()
            except EnvironmentFault as fault:
                outcome = self._failed(attempt, fault)
            return self._ended(attempt, outcome, waited)

        return perform

    def _ended(self, attempt: Attempt, outcome: Outcome, waited: float) -> ActionEnded:
        timings = {"queue": waited, **outcome.timings}
        now = self._tools.clock()
        ended = replace(outcome, ended_at=now, timings={phase: round(spent, 4) for phase, spent in timings.items()})
        return ActionEnded(at=now, stage=attempt.stage.name, action=attempt.action.name, attempt=attempt.number, outcome=ended)

    def prepare(self, running: Running, stage: str, action: str, attempt: int) -> None:
        """Let the executor of a script get ready, in a thread of its own; advice, so a failure is nobody's business."""
        try:
            values = self._tools.lookup.scope(running, attempt)
        except EnvironmentFault:
            return  # the attempt itself will say it
        bare = self._attempt(running, stage, action, attempt, resumed=False)
        thread = self._preparing[bare.id] = Thread(
            target=self._prepare, args=(bare, values), name=f"prepare {bare.id}", daemon=True
        )
        thread.start()

    def kept(self, execution: ExecutionId) -> set[str]:
        """The attempts of an execution of which something is left: a control directory, a workspace, secrets, a preparation."""
        directories = self._tools.directories
        controls = directories.execution(execution) / "attempts"
        found = {path.name for path in controls.iterdir()} if controls.is_dir() else set()
        found |= {name.partition(".")[0] for name in self._tools.workspaces.names()} | {*self._tools.vault.attempts()}
        found |= {name for name, thread in list(self._preparing.items()) if thread.is_alive()}
        return {name for name in found if name.startswith(f"{execution}-")}

    def forget(self, attempt: str) -> None:
        """Take away the secrets of an attempt that has ended, at once."""
        self._tools.vault.take_away(attempt)

    def discard(self, execution: Execution, attempt: str, work: Work, *, has_layers: bool = False) -> None:
        """Remove what an ended attempt keeps: its job, its workspaces, its control directory."""
        if preparing := self._preparing.pop(attempt, None):
            preparing.join()
        for runner, job in _jobs(work, attempt):
            with _logged(self._tools.log, "an ended job cannot be removed"):
                self._tools.executor(runner, execution.id).discard(job)
        layers = self._tools.workspaces.names() if has_layers else ()
        for name in (attempt, *(name for name in layers if name.startswith(f"{attempt}."))):
            with _logged(self._tools.log, "a workspace cannot be removed"):
                self._tools.workspaces.remove(name)
        self._tools.directories.remove(self._tools.directories.control(execution.id, attempt))
        self._tools.vault.take_away(attempt)

    def _attempt(self, running: Running, stage: str, action: str, number: int, resumed: bool) -> Attempt:
        planned = running.action(stage, action)
        reached = running.state.stages.get(StageName(stage))
        state = reached.actions.get(ActionName(action)) if reached else None
        return Attempt(
            id=running.attempt_id(stage, action, number),
            execution=running.execution,
            plan=running.plan,
            stage=running.stage(stage),
            action=planned,
            number=number,
            deadline=state.deadline if state and state.attempt == number else self._tools.clock() + AHEAD,
            inputs=self._tools.lookup.inputs(running) if planned.inputs else {},
            resumed=resumed,
        )

    def _perform(self, bare: Attempt, values: Scope | None, stop: Event, group: str) -> Outcome:
        found = Resolved(bare.action, {}) if values is None else resolve(bare.action, values)
        if isinstance(found, Unresolved):
            return Outcome(status=Status.FAILED, reason=Reason.VARIABLE, message=found.message)
        attempt = replace(bare, action=found.action)
        try:
            action: Action = plugins.load(group, _kind(attempt.action.work))()
            terms = self._tools.terms(attempt.execution.id)
            hidden = self._secrets(attempt, terms)
            with self._log_file(attempt, terms, hidden) as log:
                outcome = action.perform(attempt, AttemptContext(self._tools, terms, log, stop, hidden))
        except Exception as error:
            return replace(self._failed(attempt, error), resolved=found.texts)
        return _without_secrets(
            replace(outcome, resolved=outcome.resolved | found.texts, log_lines=log.lines, log_bytes=log.bytes), hidden
        )

    def _secrets(self, attempt: Attempt, terms: Terms) -> Redactor:
        """What masks the secrets of an attempt, which lie ready for its job from now on."""
        terms.permit.check(attempt)
        return self._tools.vault.give(attempt, terms.secrets)

    def _failed(self, attempt: Attempt, error: Exception) -> Outcome:
        if isinstance(error, AgentError):
            reason = Reason.POLICY if isinstance(error, RefusedError) else Reason.ENGINE
            reason = Reason.ARTIFACT if isinstance(error, ArtifactError) else reason
            reason = Reason.VARIABLE if isinstance(error, DefinitionError) else reason
            message = f"{error.message} ({error.hint})" if error.hint else error.message
            return Outcome(status=Status.FAILED, reason=reason, message=message)
        self._tools.log.bug("an action failed by a bug of ours", error, execution=attempt.execution.id, attempt=attempt.id)
        return Outcome(status=Status.FAILED, reason=Reason.INTERNAL, message=f"a bug of git-pipeline: {error!r} (see agent.log)")

    def _prepare(self, bare: Attempt, values: Scope) -> None:
        found = resolve(bare.action, values)
        if isinstance(found, Unresolved) or not isinstance(bare.action.work, Run):
            return
        attempt = replace(bare, action=found.action)
        try:
            terms = self._tools.terms(attempt.execution.id)
            hidden = self._secrets(attempt, terms)
            with self._log_file(attempt, terms, hidden) as log:
                context = AttemptContext(self._tools, terms, log, Event(), hidden)
                prepared = run_action.prepare(attempt, context)
                prepared.executor.prepare(prepared.job)
        except AgentError:
            pass  # the attempt itself will say it
        except Exception as error:
            self._tools.log.bug("an action could not be prepared", error, attempt=attempt.id)

    def _log_file(self, attempt: Attempt, terms: Terms, hidden: Redactor) -> LogFile:
        execution = attempt.execution.id
        path = self._tools.directories.log(execution, attempt.id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        source = f"{attempt.stage.name}/{attempt.action.name}"
        feed = self._tools.feeds(execution)
        return LogFile(
            path,
            mask=hidden,
            cap=terms.config.logs.disk,
            on_line=lambda line: feed.output(source, line),
            on_notice=lambda line: feed.say(f"{source} : {line}"),
        )


def _jobs(work: Work, attempt: str) -> tuple[tuple[str, str], ...]:
    """The runners of the jobs that an attempt may have left, and their names."""
    match work:
        case Run(runner=runner):
            return ((runner, attempt),)
        case Deploy():
            return (("ssh", attempt), ("ssh", f"{attempt}-rollback"))
        case _:
            return ()


def _kind(work: Work) -> str:
    match work:
        case Run(hosts=hosts):
            return "hosts" if hosts else "run"
        case Deploy():
            return "deploy"
        case Use(provider=provider):
            return provider
        case Approval():
            raise AssertionError("approvals are not performed")


def _without_secrets(outcome: Outcome, hidden: Redactor) -> Outcome:
    """An outcome is journalled and published: what it says is masked, and an output that holds a secret is a failure."""
    leaked = [name for name, value in outcome.outputs.items() if hidden.finds(value)]
    if leaked:
        message = f"output {', '.join(leaked)} holds a secret, and outputs are published"
        return replace(outcome, status=Status.FAILED, reason=Reason.POLICY, message=message, outputs={}, artifacts=())
    tests = outcome.tests and replace(outcome.tests, failed=tuple(hidden.text(name) for name in outcome.tests.failed))
    return replace(outcome, message=hidden.text(outcome.message), tests=tests)


def _stopped() -> Outcome:
    return Outcome(status=Status.ABANDONED, reason=Reason.STOPPED, message="stopped before it started")


class _logged:
    """Turns a fault of cleaning up into a line of the log."""

    def __init__(self, log: Log, message: str) -> None:
        self._log = log
        self._message = message

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, EnvironmentFault):
            self._log.fault(self._message, error)
            return True
        return False
