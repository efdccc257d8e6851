"""The contract of actions: what one attempt does. An executor is where a script runs; an action is what is done at all."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Protocol, TypeVar

from agent.actions.children import Pipelines
from agent.actions.server import Server
from agent.artifacts.base import ArtifactStore
from agent.artifacts.cache import CacheStore
from agent.aws.session import Clients
from agent.definition.section import Section
from agent.definition.shape import complaints
from agent.errors import DefinitionError
from agent.executors.base import Executor, LogSink
from agent.executors.build import Builder
from agent.git.command import Git
from agent.model.execution import Execution
from agent.model.outcome import ArtifactRecord, Outcome
from agent.model.plan import Plan, PlannedAction, PlannedStage, Use
from agent.model.value import Value

Read = TypeVar("Read", bound=Section)


class Attempt(Value, frozen=True, kw_only=True):
    """Everything an action may know of the attempt it is. `${{ }}` is already looked up in `action`."""

    id: str
    execution: Execution
    plan: Plan
    stage: PlannedStage
    action: PlannedAction
    number: int
    deadline: datetime
    inputs: dict[str, ArtifactRecord] = {}
    resumed: bool = False


class Context(Protocol):
    """What an action may use. Everything with an effect outside the attempt's own directories goes through here."""

    log: LogSink
    stop: Event
    now: Callable[[], datetime]

    def executor(self, name: str) -> Executor: ...

    def workspace(self, attempt: Attempt) -> Path:
        """The attempt's private view of the commit with its inputs unpacked; made on first use."""

    def control(self, attempt: Attempt) -> Path:
        """The attempt's control directory."""

    def environment(self, attempt: Attempt) -> Mapping[str, str]:
        """Variables that the operator adds for this attempt, stronger than the action's own `env`; none of PIPELINE_*.

        What every script gets (DESIGN.md 2.1) is in `agent.actions.environment`.
        """

    def secrets(self, attempt: Attempt) -> Path | None:
        """The directory in memory with the secrets of this attempt; None if it has none."""

    @property
    def artifacts(self) -> ArtifactStore:
        """Where collected archives go."""

    @property
    def caches(self) -> CacheStore:
        """Where kept directories come from and go to."""

    def permit(self, attempt: Attempt) -> None:
        """Raises RefusedError if the operator's configuration does not allow this attempt (runner, image, hosts, network)."""

    def trusted(self, attempt: Attempt) -> bool:
        """Whether the execution's ref is protected: it alone writes the caches that protected refs read."""

    @property
    def git(self) -> Git:
        """The repository."""

    def layer(self, attempt: Attempt, name: str, lowers: tuple[Path, ...]) -> Path:
        """A private, writable directory of this attempt that shows `lowers`, of which there is at least one.

        The same name gives the same directory; it goes when the attempt's workspace goes. `Workspaces.create` does it.
        """

    def server(self, attempt: Attempt, where: str) -> Server:
        """A server of the operator's, by its name or by a URL at it; what proves who we are there is masked from now on.

        Raises RefusedError if the operator does not open it to the attempt, EnvironmentFault if the secret cannot be had.
        """

    def pipelines(self, attempt: Attempt, repository: str, pipeline: str) -> Pipelines:
        """A pipeline of another repository of the operator's, or of this one if the name is empty, that the attempt may start.

        Raises RefusedError if the operator does not open it to the attempt.
        """

    def clients(self, attempt: Attempt, account: str, region: str) -> Clients:
        """Clients of AWS for an account of the operator's, as this attempt; `region` empty: the account's own.

        Raises RefusedError if the operator does not open the account to the attempt. Nothing is asked of AWS yet.
        """

    def images(self, attempt: Attempt, network: bool) -> Builder:
        """Where the attempt may build. Raises RefusedError if it may not, or not with a network."""

    def permit_image(self, image: str) -> None:
        """Raises RefusedError if the operator does not allow an image of this name; `*` stands for one that nobody knows."""

    def login(self, attempt: Attempt, repository: str) -> dict[str, str]:
        """How to push to a repository, as the engine takes it; asks ECR where the operator says so.

        Raises RefusedError if the operator does not open the repository to the attempt, EnvironmentFault for a login that cannot
        be had.
        """

    def send(self, attempt: Attempt, to: str, subject: str, message: str) -> None:
        """Queue a message to one of the operator's destinations of notifications; an attempt's once, however often it is called.

        Raises RefusedError if the operator does not open it to the attempt.
        """


class Action(Protocol):
    """One kind of work (`run`, `deploy`, a `uses:` provider). Stateless; called from several threads."""

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        """Do it, or find what an earlier call for the same attempt started, and wait for its end.

        Repeatable: after a crash it is called again with `resumed`. What fails is an Outcome; an EnvironmentFault
        becomes a failed outcome with reason ENGINE; any other exception is a bug and becomes reason INTERNAL.
        """


class Provider(Action, Protocol):
    """What stands behind `uses: NAME`, of an action or of a rule of a condition; a class that is made without arguments.

    Its module must be cheap to import, as a push that names it is judged by its `Options`: no SDK at the top.
    A rule holds if its outcome has succeeded; a failure for another reason than EXIT means that it could not be evaluated.
    """

    Options: type[Section]
    """The model of `with`: every field has a description, and takes texts as they were written (definition/values.py)."""

    outputs: Sequence[str] | None
    """The keys of its outputs; None if they are only known at the end."""


def options_of(attempt: Attempt, model: type[Read]) -> Read:
    """The options of an attempt, with everything looked up. Raises DefinitionError with all mistakes (Reason.VARIABLE)."""
    work = attempt.action.work
    if not isinstance(work, Use):
        raise TypeError(f"action {attempt.action.name} has no provider")
    read, wrong = complaints(model, work.options)
    if read is None:
        raise DefinitionError(f"`with` of {work.provider}: {'; '.join(wrong)}")
    return read
