"""Answers what people ask of executions: each request judged once, by the state in which it meets the execution.

A request is a row (`state/requests.py`), written by a command on the server or for an accepted tag; its answer is kept there.
"""

from collections.abc import Callable, Generator, Iterator
from datetime import datetime

import msgspec

from agent.errors import AgentError, EnvironmentFault, RefusedError
from agent.execution import control
from agent.execution.approvals import Roles
from agent.execution.control import Asked as Who
from agent.execution.events import Event
from agent.execution.fold import fold
from agent.execution.state import ExecutionState
from agent.model.control import Answer, Disable, Enable, Override, Retry, RollBack, Start, Stop, Wish
from agent.model.execution import Execution, TriggerType
from agent.model.ids import ExecutionId, PipelineName, StageName
from agent.model.plan import Mode, Plan
from agent.state.database import Database
from agent.state.journal import Journal
from agent.state.queue import Queue, Row
from agent.state.requests import Request, Requests
from agent.state.transitions import Closed, Transitions
from agent.worker.rollbacks import Rollbacks
from agent.worker.running import Running

Find = Callable[[ExecutionId], Running]
Judged = tuple[Running, tuple[Event, ...]]
OfExecution = Stop | Retry | Override | Answer
LOOKED_AT = 200  # newer executions of a pipeline among which one that came to the same stage is looked for


class Asked:
    """The open requests of one repository."""

    def __init__(
        self,
        database: Database,
        queue: Queue,
        transitions: Transitions,
        rollbacks: Rollbacks,
        clock: Callable[[], datetime],
        roles: Callable[[], Roles],
        new_id: Callable[[], ExecutionId],
        journal: Journal,
        renew: Callable[[ExecutionId], None] = lambda _: None,
    ) -> None:
        """`renew` is called before one that is over goes on by a retry."""
        self._requests = Requests(database)
        self._queue = queue
        self._transitions = transitions
        self._rollbacks = rollbacks
        self._clock = clock
        self._roles = roles
        self._new_id = new_id
        self._journal = journal
        self._renew = renew

    def answer(self, find: Find) -> Iterator[Judged]:
        """Judge the open requests, oldest first; journal the events of one before asking for the next.

        A request is marked as answered after its events are journalled, so a crash in between judges it twice: the second
        time it is refused as a repetition, which changes nothing. Raises EnvironmentFault, and leaves the request open.
        """
        for request in self._requests.open():
            try:
                said = yield from self._judge(request, find)
            except EnvironmentFault:
                raise  # the disk or the database: the request stays open, and is judged again
            except RefusedError as refusal:
                self._requests.settle(request.id, "refused", str(refusal))
            except AgentError as error:
                self._requests.settle(request.id, "refused", f"it could not be carried out: {error}")
            else:
                self._requests.settle(request.id, "done", said)

    def examine(self, wish: Wish, at: datetime, find: Find) -> Judged | None:
        """What `answer` would do with this wish if it were asked now, without doing it; raises RefusedError as that would.

        None for a wish that journals nothing.
        """
        request = Request(0, at.isoformat(), "", "", "open", "")
        match wish.demand:
            case Enable(pipeline=pipeline, stage=stage):
                if not any(closed.stage == stage for closed in self._transitions.closed(pipeline)):
                    raise RefusedError(f"the transition into {pipeline}/{stage} is open already")
            case RollBack() as back:
                self._target(back)
            case Stop() | Retry() | Override() | Answer() as demand:
                running = find(self._execution(demand.pipeline, demand.number))
                return running, (self._event(demand, running, wish, request),)
            case Disable() | Start():
                pass
        return None

    def _judge(self, request: Request, find: Find) -> Generator[Judged, None, str]:
        """Do what is asked; what it started, in a word, is the answer."""
        wish = _wish(request)
        match wish.demand:
            case Disable(pipeline=pipeline, stage=stage):
                self._transitions.close(Closed(pipeline, stage, wish.reason, wish.by, request.at))
            case Enable(pipeline=pipeline, stage=stage):
                if not self._transitions.open(pipeline, stage):
                    raise RefusedError(f"the transition into {pipeline}/{stage} is open already")
            case Start() as start:
                return self._start(start, wish, request)
            case RollBack() as back:
                return self._roll_back(back, wish, request)
            case Stop() | Retry() | Override() | Answer() as demand:
                running = find(self._execution(demand.pipeline, demand.number))
                event = self._event(demand, running, wish, request)
                if running.is_over:
                    self._renew(running.execution.id)
                yield running, (event,)
        return ""

    def _event(self, demand: OfExecution, running: Running, wish: Wish, request: Request) -> Event:
        asked = Who(
            at=max(self._clock(), datetime.fromisoformat(request.at)),
            by=wish.by, reason=wish.reason, tag=wish.tag, fingerprint=wish.fingerprint,
        )  # fmt: skip
        match demand:
            case Stop(abandon=abandon):
                return control.stop(running.state, asked, abandon=abandon)
            case Retry(stage=stage, mode=mode):
                newer = self._newer(running, stage)
                return control.retry(running.plan, running.state, stage, mode, asked, newer=newer)
            case Override(stage=stage):
                newer = self._newer(running, stage)
                return control.override(running.plan, running.state, stage, asked, newer=newer)
            case Answer(stage=stage, action=action, approved=approved):
                voter = control.Voter(name=wish.by, is_author=wish.is_author)
                return control.answer(running.plan, running.state, stage, action, voter, asked, self._roles(), approved=approved)

    def _newer(self, running: Running, stage: StageName) -> str:
        """The label of a newer execution that has come to this stage; empty if there is none."""
        own = running.execution
        if running.plan.mode is Mode.PARALLEL:
            return ""
        last = self._queue.last_number(own.pipeline)  # numbers tell the order, as a clock may be set back
        for number in range(last, max(own.number, last - LOOKED_AT), -1):
            row = self._queue.by_number(own.pipeline, number)
            if row and stage in self._state(ExecutionId(row.id)).stages:
                return f"{row.pipeline} #{row.number}"
        return ""

    def _state(self, execution: ExecutionId) -> ExecutionState:
        return fold(msgspec.json.decode(body, type=Event) for body in self._journal.read(execution))

    def _start(self, start: Start, wish: Wish, request: Request) -> str:
        fresh = Execution(
            id=self._new_id(), pipeline=start.pipeline, number=0, commit=start.commit, ref=start.ref,
            trigger=TriggerType.MANUAL, created_at=self._clock(), actor=wish.by, variables=start.variables,
        )  # fmt: skip
        _, number = self._queue.enqueue(msgspec.to_builtins(fresh), once=f"request:{request.id}:")
        return f"{start.pipeline} #{number}"

    def _target(self, back: RollBack) -> Execution:
        """The execution to go back to, if that can be."""
        target = msgspec.json.decode(self._row(back.pipeline, back.number).body, type=Execution)
        state = self._state(target.id)
        body = self._queue.plan(target.id)
        mode = msgspec.json.decode(body, type=Plan).mode if body else Mode.SUPERSEDED
        status = state.stages[back.stage].status if back.stage in state.stages else None
        control.rollback(target, back.stage, status, mode=mode, holder=self._holder(back.pipeline, back.stage))
        return target

    def _roll_back(self, back: RollBack, wish: Wish, request: Request) -> str:
        target, once = self._target(back), f"request:{request.id}:"
        _, number = self._rollbacks.enqueue(target, back.stage, TriggerType.ROLLBACK, wish.by, once)
        return f"{back.pipeline} #{number}"

    def _holder(self, pipeline: PipelineName, stage: StageName) -> str:
        for row in self._queue.active():
            at = self._state(ExecutionId(row.id)).stages.get(stage) if row.pipeline == pipeline else None
            if at and at.is_held:
                return f"{row.pipeline} #{row.number}"
        return ""

    def _execution(self, pipeline: PipelineName, number: int) -> ExecutionId:
        return ExecutionId(self._row(pipeline, number).id)

    def _row(self, pipeline: PipelineName, number: int) -> Row:
        row = self._queue.by_number(pipeline, number)
        if row is None:
            raise RefusedError(f"there is no execution {pipeline} #{number}", hint="git pipeline status lists them")
        return row


def _wish(request: Request) -> Wish:
    """Raises RefusedError for what another version of the agent wrote: it must not keep the requests after it back."""
    try:
        return msgspec.json.decode(request.body, type=Wish)
    except msgspec.DecodeError as error:
        raise RefusedError(f"this version of git-pipeline does not understand what was asked: {error}") from error
