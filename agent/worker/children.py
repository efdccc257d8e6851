"""Starts pipelines for attempts: of this repository and of others on this machine, each once, and never round in a circle."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from agent.actions.base import Attempt
from agent.actions.children import Child
from agent.errors import EnvironmentFault, RefusedError
from agent.git import history
from agent.git.command import Git, clean_environment
from agent.git.refs import default_branch
from agent.model.control import Stop, Wish
from agent.model.execution import Execution, TriggerType
from agent.model.ids import ExecutionId, Oid, PipelineName, RefName
from agent.model.outcome import Status
from agent.plan import parameters
from agent.state.database import Database, open_database
from agent.state.queue import Queue, Row
from agent.state.requests import Requests
from agent.worker.judge import entry_of
from agent.worker.permit import Permit
from agent.worker.spawn import wake_or_start

DEEPEST = 10  # executions that led to one another
MOST = 500  # executions of a repository that are not over; beyond them no action starts a further one


class Neighbours:
    """The repositories whose pipelines attempts of one repository may start: itself, and those that the operator opens."""

    def __init__(
        self,
        repository: Path,
        database: Database,
        python: str,
        environment: Mapping[str, str],
        clock: Callable[[], datetime],
        new_id: Callable[[], ExecutionId],
    ) -> None:
        """`python` and `environment` are those that workers are started with."""
        self.repository = repository
        self.database = database
        self.python = python
        self.environment = environment
        self.clock = clock
        self.new_id = new_id

    def of(self, permit: Permit, attempt: Attempt, name: str, pipeline: str) -> "Children":
        """See Context.pipelines."""
        path = Path(permit.repository(attempt, name, pipeline).path).resolve() if name else self.repository
        return Children(self, permit, attempt, path, pipeline)


class Children:
    """Pipelines (actions/children.py)."""

    def __init__(self, known: Neighbours, permit: Permit, attempt: Attempt, repository: Path, pipeline: str) -> None:
        self._known = known
        self._permit = permit
        self._attempt = attempt
        self._repository = repository
        self._is_own = repository == known.repository
        self._pipeline = pipeline

    def start(self, branch: str, variables: Mapping[str, str], once: str) -> Child:
        with self._opened() as database:
            queue, name = Queue(database), f"pipeline:{once}:"
            former = queue.of_origin(name)
            if not former:
                identity, _ = queue.enqueue(self._asked(database, branch, variables), once=name)
                former = tuple(row for row in (queue.get(identity),) if row)
        self._wake()
        return _child(former[0])

    def look(self, child: str) -> Child | None:
        with self._opened() as database:
            row = Queue(database).get(child)
        return _child(row) if row else None

    def stop(self, child: str) -> None:
        with self._opened() as database:
            if row := Queue(database).get(child):
                demand = Stop(pipeline=PipelineName(row.pipeline), number=row.number, abandon=True)
                wish = msgspec.json.encode(Wish(demand=demand, by=self._actor, reason="what started it was stopped"))
                Requests(database).add(
                    self._known.clock().isoformat(), "stop", wish.decode(), once=f"stop:{self._attempt.id}:{child}"
                )
        self._wake()

    def _asked(self, database: Database, branch: str, variables: Mapping[str, str]) -> dict[str, object]:
        """The execution that is asked for. Raises RefusedError."""
        parents = self._parents()
        if len(Queue(database).active()) >= MOST:
            raise RefusedError(f"{MOST} executions of {self._repository.name} are not over", hint="start this one when they are")
        git = Git(str(self._repository), clean_environment(self._known.environment))
        ref, commit = self._revision(git, branch)
        entry = entry_of(git, database, commit, self._pipeline)
        if entry is None:
            raise RefusedError(
                f"{ref} has no pipeline {self._pipeline}", hint=f"a file .pipeline/{self._pipeline}.yaml makes one"
            )
        fresh = Execution(
            id=self._known.new_id(), pipeline=PipelineName(self._pipeline), number=0, commit=commit, ref=ref,
            trigger=TriggerType.PIPELINE, created_at=self._known.clock(), actor=self._actor,
            variables=parameters.check(entry, list(variables.items())), parents=parents,
        )  # fmt: skip
        fields: dict[str, object] = msgspec.to_builtins(fresh)
        return fields

    def _revision(self, git: Git, branch: str) -> tuple[RefName, Oid]:
        own = self._attempt.execution
        if self._is_own and not branch:
            return own.ref, own.commit
        ref = RefName(f"refs/heads/{branch}") if branch else default_branch(git) or RefName("HEAD")
        if self._is_own:
            self._permit.check_branch(self._attempt, ref)
        commit = history.resolve(git, ref)
        if commit is None:
            raise RefusedError(f"there is no {ref} in {self._repository.name}", hint="name a branch that is there")
        return ref, commit

    def _parents(self) -> tuple[str, ...]:
        """The pipelines that lead to what is asked for. Raises RefusedError if it is one of them, or if there are too many."""
        own = self._attempt.execution
        led = (*own.parents, f"{self._known.repository} {own.pipeline}")
        if f"{self._repository} {self._pipeline}" in led:
            way = " -> ".join(step.rpartition(" ")[2] for step in (*led, self._pipeline))
            raise RefusedError(f"{self._pipeline} would start itself again: {way}", hint="let it start another pipeline")
        if len(led) >= DEEPEST:
            raise RefusedError(f"{len(led)} pipelines have started one another, and no more do", hint="start some side by side")
        return led

    @property
    def _actor(self) -> str:
        label = self._attempt.execution.label
        return label if self._is_own else f"{label} of {self._known.repository.name.removesuffix('.git')}"

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        if self._is_own:
            yield self._known.database
            return
        state = self._repository / "pipeline" / "state.db"
        if not state.is_file():
            raise EnvironmentFault(f"the agent is not installed in {self._repository.name}", hint="git pipeline install")
        database = open_database(str(state))
        try:
            yield database
        finally:
            database.close()

    def _wake(self) -> None:
        home = self._repository / "pipeline"
        wake_or_start(str(home), str(self._repository), self._known.python, self._known.environment)


def _child(row: Row) -> Child:
    return Child(id=row.id, label=f"{row.pipeline} #{row.number}", number=row.number, status=Status(row.status))
