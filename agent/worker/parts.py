"""What the loop works with, and what follows from events beside the state: status rows, feeds, notes, cleaning up."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial

import msgspec

from agent.errors import AgentError, ConfigError, EnvironmentFault
from agent.execution.events import (
    ActionEnded,
    ActionStarting,
    ApprovalAnswered,
    Event,
    ExecutionEnded,
    ExecutionStarted,
    RuleEnded,
    StageEnded,
    StageRetried,
)
from agent.execution.state import ExecutionState
from agent.log import Log
from agent.model.execution import Execution
from agent.model.ids import ExecutionId
from agent.model.outcome import Status
from agent.model.plan import Approval, Deploy, Plan, Run, Work
from agent.results.timeline import line_for
from agent.state.journal import Journal
from agent.state.passes import Pass, Passes
from agent.state.queue import Queue
from agent.worker.delivery import Deliveries
from agent.worker.feed import Feed
from agent.worker.performer import Performer
from agent.worker.places import Directories
from agent.worker.planning import Planner
from agent.worker.pool import Pool
from agent.worker.publishing import Publishing, Snapshot
from agent.worker.rollbacks import Rollbacks
from agent.worker.rules import Rules, scripts
from agent.worker.running import Running
from agent.worker.traffic import Traffic

Find = Callable[[ExecutionId], Running]
Requests = Callable[[Find], Iterable[tuple[Running, tuple[Event, ...]]]]


class Urgency(Enum):
    """When the notes are to tell something."""

    NOW = "now"
    SOON = "soon"  # within a second


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One repository's worker, in pieces; `wiring.py` chooses them."""

    directories: Directories
    queue: Queue
    transaction: Callable[[], AbstractContextManager[None]]  # in which all that a turn of the loop writes is written
    journal: Journal
    passes: Passes
    planner: Planner
    policy: Callable[[], str]  # reads the configuration; its digest
    traffic: Traffic
    rules: Rules
    rollbacks: Rollbacks
    performer: Performer
    pool: Pool
    publishing: Publishing
    deliveries: Deliveries
    intake: Callable[[], object]  # settle what hooks left open
    requests: Requests  # answer what people asked, with the events to journal
    has_news: Callable[[], bool]  # pushes or requests that nobody has looked at
    next_look: Callable[[], datetime | None]  # when pushes that were never confirmed want to be looked at
    release: Callable[[str, str], None]  # a commit is not needed any more by an execution
    feeds: Callable[[str], Feed]
    log: Log
    clock: Callable[[], datetime]
    linger: timedelta
    keeps_failed: bool = False  # what failed attempts leave is for a person to look at, who removes it

    def start(self, execution: ExecutionId) -> Running:
        """An execution from its row, plan and journal; without a plan it has no stages yet."""
        row = self.queue.get(execution)
        if row is None:
            raise EnvironmentFault(f"execution {execution} is not in the database", hint="was it removed by gc?")
        try:
            self.directories.logs(execution).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise EnvironmentFault(f"{error.filename}: {error.strerror}", hint="is the disk full?") from error
        known = msgspec.json.decode(row.body, type=Execution)
        body = self.queue.plan(execution)
        plan = msgspec.json.decode(body, type=Plan) if body else Plan(pipeline=known.pipeline, stages=())
        return Running(known, plan, self.journal, self.deliveries.prepare)

    def first_events(self, running: Running) -> Iterator[Event]:
        """Fix policy and plan of a new execution, if it has none yet; one that cannot be planned fails at once, with the reason.

        Raises ConfigError while the configuration is broken.
        """
        now = self.clock()
        try:
            policy = self.policy()
            running.fix(running.plan if running.plan.stages else self.planner.plan(running.execution))
            self.queue.set_plan(running.execution.id, msgspec.json.encode(running.plan), policy)
        except (EnvironmentFault, ConfigError):
            raise
        except AgentError as error:
            yield ExecutionEnded(at=now, status=Status.FAILED, message=str(error))
            return
        except Exception as bug:
            self.log.bug("an execution cannot be planned by a bug of ours", bug, execution=running.execution.id)
            message = f"a bug of git-pipeline: {bug!r} (see agent.log)"
            yield ExecutionEnded(at=now, status=Status.FAILED, message=message)
            return
        yield ExecutionStarted(at=now)

    def hold(self, execution: ExecutionId, error: ConfigError) -> None:
        """A new execution cannot start by the fault of the operator: who follows it need not stay."""
        self.log.fault("an execution waits, as the configuration is broken", error, execution=execution)
        feed = self.feeds(execution)
        feed.say(f"it waits until the operator has mended the configuration: {error}")
        feed.leave()

    def note(self, running: Running, events: tuple[Event, ...]) -> None:
        """Bring the tables beside the journal up to date; without events: after a restart."""
        state, execution = running.state, running.execution
        for event in events:
            self._remember(running, event)
        if not events:
            self._remember_again(running)
        if running.told is not state.status or not events:
            started, ended = _iso(state.started_at), _iso(state.ended_at)
            self.queue.set_status(execution.id, state.status, started_at=started, ended_at=ended)
            running.told = state.status

    def tell(self, running: Running, events: tuple[Event, ...], state: ExecutionState) -> None:
        """Bring everything outside up to date, now that the events are journalled. `state`: what they led to."""
        lines = [line for event in events for line in line_for(event, running.execution, running.plan, state)]
        self.feeds(running.execution.id).say(*lines)
        for event in events:
            if isinstance(event, ActionEnded):
                self._discard(running, event)
            if isinstance(event, RuleEnded):
                self.rules.forget(running, event)
        if urgency := _urgency(events, running):
            self.publish(running, at_once=urgency is Urgency.NOW)
        self.deliveries.look_at_new()

    def publish(self, running: Running, *, at_once: bool = True) -> None:
        """Bring the notes up to date, beside the loop."""
        snapshot = Snapshot(execution=running.execution, plan=running.plan, state=running.state)
        self.publishing.offer(snapshot, at_once=at_once)

    def finish(self, running: Running) -> None:
        """The execution is over and published: let followers go, and clean up."""
        self.feeds(running.execution.id).leave()
        if not self.keeps_failed:
            self.pool.later(partial(self.tidy, running))
        self.pool.later(lambda: self.release(running.execution.commit, running.execution.id))

    def tidy(self, running: Running, own: frozenset[str] = frozenset()) -> None:
        """Remove what attempts keep that are over, or were only prepared and by nobody who still needs them, as `own` are."""
        kept = own | {running.attempt_id(*attempt) for attempt in running.attempts()} | self.rules.jobs(running)
        works = tuple(action.work for stage in running.plan.stages for action in stage.actions) + scripts(running.plan)
        for attempt in self.performer.kept(running.execution.id) - kept:
            self._clear(running.execution, attempt, works)

    def _clear(self, execution: Execution, attempt: str, works: tuple[Work, ...]) -> None:
        """Unless it started meanwhile, as a stage was retried."""
        kinds = {work.runner if isinstance(work, Run) else "": work for work in works if isinstance(work, Run | Deploy)}
        for work in kinds.values():
            if not self.pool.is_running(attempt):
                self.performer.discard(execution, attempt, work, has_layers=True)

    def _remember(self, running: Running, event: Event) -> None:
        if isinstance(event, StageEnded) and event.status is Status.SUCCEEDED:
            execution = running.execution
            passed = Pass(execution.id, execution.commit, event.at.isoformat(), execution.rollback is not None)
            self.passes.add(execution.pipeline, event.stage, passed)

    def _remember_again(self, running: Running) -> None:
        """A worker may have been killed between the journal and the table of passes."""
        execution = running.execution
        for name, stage in running.state.stages.items():
            if stage.status is Status.SUCCEEDED and stage.ended_at:
                passed = Pass(execution.id, execution.commit, stage.ended_at.isoformat(), execution.rollback is not None)
                self.passes.keep(execution.pipeline, name, passed)

    def _discard(self, running: Running, event: ActionEnded) -> None:
        action = running.action(event.stage, event.action)
        kept = self.keeps_failed and event.outcome.status is Status.FAILED
        if not isinstance(action.work, Approval) and not kept:
            attempt = running.attempt_id(event.stage, event.action, event.attempt)
            if action.secrets:
                self.performer.forget(attempt)
            layered = bool(action.cache)
            self.pool.later(lambda: self.performer.discard(running.execution, attempt, action.work, has_layers=layered))


def _urgency(events: tuple[Event, ...], running: Running) -> Urgency | None:
    """When the notes should say it: starts, questions to people and their answers, the end now; ends of stages soon."""
    found = None if events else Urgency.NOW
    for event in events:
        if isinstance(event, ExecutionStarted | ExecutionEnded | ApprovalAnswered | StageRetried):
            return Urgency.NOW
        if isinstance(event, ActionStarting) and isinstance(running.action(event.stage, event.action).work, Approval):
            return Urgency.NOW
        if isinstance(event, StageEnded):
            found = Urgency.SOON
    return found


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
