"""The worker's loop: take in, decide, journal, hand out, wait. The one thread that decides, and the only hand on the journals.

    messages (facts from the pool, rings of the bell) -> fold -> decide -> journal, all in one transaction -> pool

Nothing here is remembered that a new worker would not find again: what was announced and has not ended is performed again by an
action that re-attaches, and everything else is decided anew from the journals.
"""

import queue
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from agent.errors import ConfigError, EnvironmentFault
from agent.execution.commands import CancelAction, Command, EvaluateRule, PrepareAction, Record, StartAction, StartRollback
from agent.execution.decide import decide, wake_at
from agent.execution.events import ActionStarting, Event, ExecutionEnded
from agent.model.ids import ExecutionId
from agent.model.outcome import Status
from agent.worker.messages import Fact, Message, Published, Ring
from agent.worker.parts import Parts
from agent.worker.running import Running

RETRY = timedelta(seconds=5)  # after a fault of the disk, until it is tried again
LOOK = timedelta(seconds=1)  # while the pool or the publishing is busy with what tells nobody when it ends
SOON = timedelta(seconds=60)  # what happens by itself within this time is waited for in this process


class Wanted(NamedTuple):
    """An attempt that may start as soon as there is a place, and since when."""

    running: Running
    start: StartAction
    since: datetime
    waits: bool = False

    @property
    def still(self) -> bool:
        """Whether the stage is held and this attempt has not been started."""
        stage = self.running.state.stages.get(self.start.stage)
        if self.running.is_over or self.running.state.stop or not stage or not stage.is_held:
            return False
        state = stage.actions.get(self.start.action)
        return state is None or (state.attempt < self.start.attempt and not state.is_running)


class Effect(NamedTuple):
    """Something to do for an execution outside its journal."""

    running: Running
    act: Callable[[], object]


class Loop:
    """Runs the executions of one repository until there is nothing left to do but to wait."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._facts: deque[Fact] = deque()
        self._publications: deque[Published] = deque()
        self._running: dict[ExecutionId, Running] = {}
        self._dirty: set[ExecutionId] = set()
        self._wanted: dict[str, Wanted] = {}
        self._prepared: set[str] = set()
        self._performed: set[str] = set()  # by this process: what it was handed it never forgets
        self._starting: set[str] = set()  # journalled or about to be, and not handed to the pool yet
        self._effects: list[Effect] = []  # what is to be done once all that was decided is journalled
        self._broken: set[str] = set()
        self._held: set[str] = set()  # new ones that a broken configuration keeps from starting
        self._look_at: datetime | None = None
        self._faults = 0
        self._looked = False

    def post(self, message: Message) -> None:
        """Tell the loop something; from any thread."""
        self._messages.put(message)

    def run(self) -> datetime | None:
        """Work until nothing has happened for the configured time and only people or the clock can make it go on.

        Returns when to look again, None if nothing is waited for by the clock. Raises nothing for faults of the
        disk or the database: it says so in the log and tries again.
        """
        self.post(Ring())
        quiet_since = self._parts.clock()
        while True:
            if self._next(self._pause(quiet_since)):
                quiet_since = self._parts.clock()
            now = self._parts.clock()
            rest = self._rest()
            if self._is_quiet() and now - quiet_since >= self._parts.linger and not (rest and rest - now < SOON):
                return rest

    def is_needed(self) -> bool:
        """Whether the database holds something that this loop has not seen, which came while it was leaving."""
        parts = self._parts
        return any(self._is_new(row.id) and row.id not in self._held for row in parts.queue.open()) or parts.has_news()

    def _is_new(self, execution: str) -> bool:
        return execution not in self._running and execution not in self._broken

    # --- one turn -----------------------------------------------------------------------------------------------------

    def _next(self, timeout: float) -> bool:
        """Wait for messages, take all there are, and act on them; False if none came."""
        batch = self._receive(timeout)
        try:
            self._take(batch)
            self._act()
            self._faults = 0
        except EnvironmentFault as fault:
            self._faults += 1
            self._parts.log.fault("the state cannot be written; trying again", fault)
            self._forget()
        return bool(batch)

    def _receive(self, timeout: float) -> list[Message]:
        batch: list[Message] = []
        try:
            batch.append(self._messages.get(timeout=timeout))
            while True:
                batch.append(self._messages.get_nowait())
        except queue.Empty:
            return batch

    def _forget(self) -> None:
        """After a fault nobody knows how far things came. As after a crash everything is found again, but for what waits here."""
        self._running.clear()
        self._dirty.clear()
        self._wanted.clear()
        self._starting.clear()
        self._effects.clear()

    def _take(self, batch: Iterable[Message]) -> None:
        rung = bool(self._look_at and self._look_at <= self._parts.clock())
        for message in batch:
            match message:
                case Fact():
                    self._facts.append(message)
                case Published():
                    self._publications.append(message)
                case Ring():
                    rung = True
        if rung or self._faults or not batch:  # also when the time to look again has come
            self._take_in()

    def _take_in(self) -> None:
        self._parts.intake()
        for execution, events in self._parts.requests(self._find):
            self._record(execution, events)
        for row in self._parts.queue.open():  # after the requests, which start executions too
            if self._is_new(row.id):
                self._adopt_safely(ExecutionId(row.id))
        self._looked = True
        self._look_at = self._parts.next_look()

    def _adopt_safely(self, execution: ExecutionId) -> None:
        """One that cannot even be read must not hold up the others."""
        try:
            self._adopt(execution)
            self._held.discard(execution)
        except EnvironmentFault:
            raise
        except ConfigError as error:  # tried again whenever somebody rings
            if execution not in self._held:
                self._held.add(execution)
                self._parts.hold(execution, error)
        except Exception as bug:
            self._broken.add(execution)
            self._parts.log.bug("an execution cannot be gone on with by a bug of ours", bug, execution=execution)

    def _adopt(self, execution: ExecutionId) -> Running:
        running = self._parts.start(execution)
        is_new = not running.state.started_at and not running.is_over
        first = tuple(self._parts.first_events(running)) if is_new else ()
        self._running[execution] = running
        try:
            self._changed(running, ())
            self._record(running, first)
        except EnvironmentFault:
            del self._running[execution]  # adopted again when the journal can be written
            self._dirty.discard(execution)
            raise
        self._parts.tidy(running, frozenset(self._prepared | self._performed))
        for stage, action, attempt in running.attempts():
            self._later(running, partial(self._perform, running, stage, action, attempt, resumed=True))
        return running

    def _find(self, execution: ExecutionId) -> Running:
        return self._running.get(execution) or self._adopt(execution)

    def _act(self) -> None:
        """Journal what came and what follows from it in one transaction, then do it; again until nothing more follows.

        An effect finds its intent in the journal, and nobody waits for the disk more often than once a turn.
        """
        now = self._parts.clock()
        self._dirty.update(one.execution.id for one in self._running.values() if one.wake_at and one.wake_at <= now)
        while self._facts or self._publications or self._dirty or self._looked or self._effects:
            published = tuple(self._publications)
            with self._parts.transaction():
                self._record_facts()
                self._record_publications(published)
                self._go_on()
            self._facts.clear()  # only now: a journal that cannot be written keeps the facts
            self._publications.clear()
            effects, self._effects = self._effects, []
            for effect in effects:
                self._safely(effect.running, effect.act)
            self._starting.clear()
            for message in published:
                self._published(message)
        self._let_followers_go()

    def _record_facts(self) -> None:
        by_execution: dict[ExecutionId, list[Event]] = {}
        for fact in self._facts:
            by_execution.setdefault(fact.execution, []).append(fact.event)
        for execution, events in by_execution.items():
            if running := self._running.get(execution):
                self._record(running, events)

    def _record_publications(self, published: Iterable[Published]) -> None:
        for message in published:
            if not message.fault:
                self._parts.queue.mark_published(message.execution, message.seq)

    def _go_on(self) -> None:
        """Decide, admit and choose what starts, until nothing more follows."""
        while self._dirty or self._looked:  # a look may have found that the way into a stage was opened
            self._looked = False
            while self._dirty:
                running = self._running[self._dirty.pop()]
                self._safely(running, partial(self._decide, running))
            for running, events in self._parts.traffic.admit(self._running, self._parts.clock()):
                self._record(running, events)
            self._start_wanted()

    def _safely(self, running: Running, act: Callable[[], object]) -> None:
        """A bug that one execution meets must not hold up the others: it ends, and the log has the details."""
        try:
            act()
        except EnvironmentFault:
            raise
        except Exception as bug:
            self._parts.log.bug("an execution failed by a bug of ours", bug, execution=running.execution.id)
            if not running.is_over:
                message = f"a bug of git-pipeline: {bug!r} (see agent.log)"
                self._record(running, [ExecutionEnded(at=self._parts.clock(), status=Status.FAILED, message=message)])

    def _decide(self, running: Running) -> None:
        commands: tuple[Command, ...] = ()
        while not running.is_over:
            now = self._parts.clock()
            commands = decide(running.plan, running.state, now)
            records = [command.event for command in commands if isinstance(command, Record)]
            if not records:
                break
            self._record(running, records)
        running.wake_at = None if running.is_over else wake_at(running.plan, running.state, self._parts.clock())
        self._dirty.discard(running.execution.id)
        for command in () if running.is_over else commands:
            self._carry_out(running, command)

    def _later(self, running: Running, act: Callable[[], object]) -> None:
        self._effects.append(Effect(running, act))

    def _carry_out(self, running: Running, command: Command) -> None:
        match command:
            case StartAction(stage=stage, action=action, attempt=attempt):
                name = running.attempt_id(stage, action, attempt)
                if name not in self._wanted:
                    self._wanted[name] = Wanted(running, command, self._parts.clock(), running.action(stage, action).waits)
            case PrepareAction(stage=stage, action=action, attempt=attempt):
                name = running.attempt_id(stage, action, attempt)
                if name not in self._prepared:
                    self._prepared.add(name)
                    self._later(running, partial(self._parts.performer.prepare, running, stage, action, attempt))
            case CancelAction(stage=stage, action=action, attempt=attempt):
                self._later(running, partial(self._parts.pool.stop, running.attempt_id(stage, action, attempt)))
            case EvaluateRule():
                self._later(running, partial(self._evaluate, running, command))
            case StartRollback(stage=stage):
                self._record(running, self._parts.rollbacks.start(running, stage))
                self.post(Ring())
            case Record():
                pass  # was journalled before

    def _evaluate(self, running: Running, rule: EvaluateRule) -> None:
        self._record(running, self._parts.rules.evaluate(running, rule, self.post))
        running.wake_at = _earlier(running.wake_at, self._parts.rules.retry_at(running.execution.id, rule))

    def _start_wanted(self) -> None:
        """Start as many attempts as there are places, oldest wish first."""
        for name in [name for name, wanted in self._wanted.items() if not wanted.still]:
            del self._wanted[name]
        chosen: dict[ExecutionId, list[str]] = {}
        working = [name for name, wanted in self._wanted.items() if not wanted.waits]
        waiting = [name for name, wanted in self._wanted.items() if wanted.waits]
        for name in [*working[: max(0, self._parts.pool.free - len(self._starting))], *waiting]:
            chosen.setdefault(self._wanted[name].running.execution.id, []).append(name)
        for execution, names in chosen.items():
            self._start(self._running[execution], {name: self._wanted.pop(name) for name in names})

    def _start(self, running: Running, starts: dict[str, Wanted]) -> None:
        now = self._parts.clock()
        intents = [
            ActionStarting(
                at=now,
                stage=wanted.start.stage,
                action=wanted.start.action,
                attempt=wanted.start.attempt,
                deadline=now + running.action(wanted.start.stage, wanted.start.action).timeout,
            )
            for wanted in starts.values()
        ]
        self._record(running, intents)
        for name, (_, start, since, waits) in starts.items():
            self._prepared.discard(name)
            if not waits:
                self._starting.add(name)
            place = (running, start.stage, start.action, start.attempt)
            self._later(running, partial(self._perform, *place, resumed=False, since=since))

    def _perform(
        self, running: Running, stage: str, action: str, attempt: int, *, resumed: bool, since: datetime | None = None
    ) -> None:
        name = running.attempt_id(stage, action, attempt)
        if name in self._performed:
            return  # after a fault: its end is on the way
        work = self._parts.performer.work(running, stage, action, attempt, resumed=resumed, since=since)
        execution = running.execution.id
        waits = running.action(stage, action).waits
        self._parts.pool.start(name, work, lambda event: self.post(Fact(execution=execution, event=event)), waits=waits)
        self._performed.add(name)

    # --- what follows from events -------------------------------------------------------------------------------------

    def _record(self, running: Running, events: Iterable[Event]) -> None:
        batch = tuple(events)
        if batch:
            running.record(batch)
            self._changed(running, batch)

    def _changed(self, running: Running, events: tuple[Event, ...]) -> None:
        self._dirty.add(running.execution.id)
        self._parts.note(running, events)
        self._later(running, partial(self._parts.tell, running, events, running.state))

    def _published(self, message: Published) -> None:
        running = self._running.get(message.execution)
        if message.fault:
            self._parts.log.fault("the notes cannot be written; trying again", message.fault, execution=message.execution)
            if running:
                self._parts.pool.later_in(RETRY.total_seconds(), lambda: self._parts.publish(running))
            return
        if running and running.is_over and running.state.seq == message.seq:
            del self._running[message.execution]
            self._dirty.discard(message.execution)
            self._prepared = {name for name in self._prepared if not name.startswith(message.execution)}
            self._performed = {name for name in self._performed if not name.startswith(message.execution)}
            self._parts.finish(running)

    def _let_followers_go(self) -> None:
        """Followers need not stay while an execution waits for people, for others that do, or for a distant time."""
        soon = self._parts.clock() + SOON
        for running in self._running.values():
            if running.is_over or running.left_at == running.state.seq or self._is_busy(running):
                continue
            if running.asks_people or (self._parts.pool.is_quiet and not (running.wake_at and running.wake_at < soon)):
                running.left_at = running.state.seq
                self._parts.feeds(running.execution.id).leave()

    def _is_busy(self, running: Running) -> bool:
        """Whether something of it runs, is about to start, or has ended without the loop having heard of it yet."""
        wanted = any(wanted.running is running for wanted in self._wanted.values())
        return wanted or bool(running.attempts()) or self._parts.rules.is_evaluating(running)

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _is_quiet(self) -> bool:
        parts = self._parts
        waits = self._wanted or self._facts or self._publications or self._faults
        return not waits and parts.pool.is_quiet and parts.publishing.is_idle and self._messages.empty()  # in this order

    def _rest(self) -> datetime | None:
        """The next time at which something happens by itself."""
        times = [running.wake_at for running in self._running.values()] + [self._look_at]
        return min((time for time in times if time), default=None)

    def _pause(self, quiet_since: datetime) -> float:
        """Seconds to wait for a message, at most."""
        now = self._parts.clock()
        rest = self._rest()
        limits = [quiet_since + self._parts.linger, rest]
        if self._faults:
            limits = [now + RETRY]
        elif not self._is_quiet():
            limits = [rest, now + LOOK]
        pause = min((time - now).total_seconds() for time in limits if time)
        return max(0.0, pause) if pause > 0 else 0.001


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((time for time in (one, other) if time), default=None)


Post = Callable[[Message], None]
