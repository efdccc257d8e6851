"""What `${{ }}` and `inputs` of an attempt can see: values and artifacts of what ran before it, also of a rollback's target."""

from collections.abc import Callable, Iterator
from operator import attrgetter

import msgspec

from agent.execution.events import Event
from agent.execution.fold import fold
from agent.execution.state import ExecutionState
from agent.git.command import Git
from agent.git.history import commit_facts
from agent.model.execution import Execution
from agent.model.ids import ExecutionId, PipelineName
from agent.model.outcome import ArtifactRecord, Outcome
from agent.model.plan import Plan, PlannedAction
from agent.plan.variables import CommitFacts, Scope, scope
from agent.state.journal import Journal
from agent.state.queue import Queue
from agent.worker.running import Running

_SPEAKS, _LEAVES = attrgetter("namespace"), attrgetter("artifacts")


class Lookup:
    """Answers from the journals; for a rollback the target execution's answers count, as it runs what that one ran."""

    def __init__(self, git: Git, queue: Queue, journal: Journal) -> None:
        self.git = git
        self._queue = queue
        self._journal = journal
        self._facts: dict[str, CommitFacts] = {}

    def scope(self, running: Running, attempt: int) -> Scope:
        """All values that an attempt may look up, but for its matrix."""
        outputs: dict[str, dict[str, str]] = {}
        for plan, state in self._sources(running):
            outputs |= {action.namespace: outcome.outputs for action, outcome in _ended(plan, state, _SPEAKS)}
        return scope(running.execution, self._commit(running.execution), running.plan.variables, outputs, attempt=attempt)

    def inputs(self, running: Running) -> dict[str, ArtifactRecord]:
        """Artifacts by name."""
        found: dict[str, ArtifactRecord] = {}
        for plan, state in self._sources(running):
            found |= {record.name: record for _, outcome in _ended(plan, state, _LEAVES) for record in outcome.artifacts}
        return found

    def _sources(self, running: Running) -> tuple[tuple[Plan, ExecutionState], ...]:
        own = (running.plan, running.state)
        rollback = running.execution.rollback
        return (self._former(rollback.target), own) if rollback else (own,)

    def _former(self, execution: ExecutionId) -> tuple[Plan, ExecutionState]:
        body = self._queue.plan(execution)
        plan = msgspec.json.decode(body, type=Plan) if body else Plan(pipeline=PipelineName(""), stages=())
        return plan, fold(msgspec.json.decode(event, type=Event) for event in self._journal.read(execution))

    def _commit(self, execution: Execution) -> CommitFacts:
        if execution.id not in self._facts:
            self._facts.clear()  # one at a time is enough: attempts of an execution come together
            found = commit_facts(self.git, execution.commit)
            self._facts[execution.id] = CommitFacts(
                author=found.author,
                email=found.email,
                message=found.message,
                branch=_below(execution.ref, "refs/heads/"),
                tag=_below(execution.ref, "refs/tags/"),
            )
        return self._facts[execution.id]


def _ended(
    plan: Plan, state: ExecutionState, which: Callable[[PlannedAction], object]
) -> Iterator[tuple[PlannedAction, Outcome]]:
    """Those actions that have ended with their outcomes, in the order of the plan."""
    for stage in plan.stages:
        if at := state.stages.get(stage.name):
            for action in filter(which, stage.actions):  # asked for each attempt: most actions drop out at once
                found = at.actions.get(action.name)
                if found and found.outcome:
                    yield action, found.outcome


def _below(ref: str, prefix: str) -> str:
    return ref.removeprefix(prefix) if ref.startswith(prefix) else ""
