"""Tells the outside what the journal says: each event's notices queued with it, then delivered beside the loop, in order.

Per target one message at a time; one that fails is tried again later and later, and holds up those behind it, never another
target nor an execution. After a day it is given up, which `status` and `doctor` show.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from threading import Lock

import msgspec

from agent.errors import AgentError, EnvironmentFault
from agent.log import Log
from agent.model.execution import Execution
from agent.model.notice import Notice
from agent.model.plan import Plan
from agent.notify.base import NotDelivered, Target, route, target_of
from agent.notify.notices import notices
from agent.results.timeline import line_for
from agent.settings import Notify
from agent.state.outbox import Letter, Outbox
from agent.worker.messengers import Messengers
from agent.worker.pool import Pool
from agent.worker.running import Told

FIRST = timedelta(seconds=5)  # after the first failure; each further one doubles it
LONGEST = timedelta(minutes=10)
GIVE_UP = timedelta(days=1)


class Deliveries:
    """The outbox of a repository at work."""

    def __init__(
        self,
        outbox: Outbox,
        messengers: Messengers,
        pool: Pool,
        ring: Callable[[], None],
        log: Log,
        clock: Callable[[], datetime],
    ) -> None:
        """`ring` tells the loop to ask `next_look` again."""
        self._outbox = outbox
        self._messengers = messengers
        self._pool = pool
        self._ring = ring
        self._log = log
        self._clock = clock
        self._busy: set[str] = set()
        self._lock = Lock()
        self._has_new = False  # since the last look

    def prepare(self, execution: Execution, plan: Plan, told: Told) -> Callable[[], None] | None:
        """What queues the notices of events, to be called in the transaction that journals them; a bug stops no execution."""
        try:
            letters = tuple(_letters(self._messengers.targets, execution, plan, told))
        except EnvironmentFault:
            raise
        except Exception as bug:
            self._log.bug("an event cannot be told by a bug of ours", bug, execution=execution.id)
            return None
        return partial(self._queue, execution.label, letters) if letters else None

    def send(self, rule: Notify, notice: Notice) -> None:
        """Queue what a pipeline itself has to say, for one destination; once, however often it is sent. From any thread.

        Raises EnvironmentFault.
        """
        with self._outbox.transaction():
            if self._outbox.is_first(notice.id, notice.execution.id):
                self._queue(notice.execution.label, ((target_of(rule).key, notice),))
        self._ring()

    def _queue(self, label: str, letters: tuple[tuple[str, Notice], ...]) -> None:
        self._has_new = True
        for key, notice in letters:
            self._outbox.add(key, label, notice.event, notice.at.isoformat(), msgspec.json.encode(notice))

    def look_at_new(self) -> None:
        """`look`, if anything was queued since the last one."""
        if self._has_new:
            self.look()

    def look(self) -> None:
        """See that everything that is due is being delivered; returns at once."""
        self._has_new = False
        for letter in self._outbox.heads():
            with self._lock:
                if letter.target in self._busy or not self._is_due(letter):
                    continue
                self._busy.add(letter.target)
            self._pool.later_in(0, partial(self._serve, letter.target))

    def next_look(self) -> datetime | None:
        """When something that failed is to be tried again."""
        times = [datetime.fromisoformat(letter.next_at) for letter in self._outbox.heads() if letter.target not in self._busy]
        return min(times, default=None)

    def _is_due(self, letter: Letter) -> bool:
        """A clock that was set back holds up nothing."""
        rest = datetime.fromisoformat(letter.next_at) - self._clock()
        return not letter.tries or rest <= timedelta(0) or rest > LONGEST

    def _serve(self, target: str) -> None:
        """Deliver what waits for a target, until nothing does or it fails."""
        try:
            while (letter := self._outbox.head(target)) and self._is_due(letter):
                self._deliver(letter)
        finally:
            with self._lock:
                self._busy.discard(target)
            if self._outbox.head(target):
                self._ring()

    def _deliver(self, letter: Letter) -> None:
        try:
            self._messengers.of(letter.target).send(msgspec.json.decode(letter.body, type=Notice))
        except EnvironmentFault as fault:
            self._failed(letter, fault)
        except AgentError as error:
            self._failed(letter, NotDelivered(error.message, hint=error.hint, refused=True))
        except Exception as bug:
            self._log.bug("a notice is not delivered by a bug of ours", bug, target=letter.target)
            self._failed(letter, NotDelivered(f"a bug of git-pipeline: {bug!r} (see agent.log)", refused=True))
        else:
            self._outbox.delivered(letter.id)

    def _failed(self, letter: Letter, fault: EnvironmentFault) -> None:
        now = self._clock()
        refused, after = (fault.refused, fault.after) if isinstance(fault, NotDelivered) else (False, 0.0)
        said = fault.message + (f" ({fault.hint})" if fault.hint else "")
        if refused or now - datetime.fromisoformat(letter.at) >= GIVE_UP:
            self._outbox.give_up(letter.id, said)
            self._log.fault("a notice is given up", fault, target=letter.target, event=letter.event, of=letter.label)
            return
        pause = min(max(FIRST * 2 ** min(letter.tries, 20), timedelta(seconds=after)), LONGEST)
        self._outbox.failed(letter.id, said, (now + pause).isoformat())


def _letters(known: tuple[Target, ...], execution: Execution, plan: Plan, told: Told) -> Iterator[tuple[str, Notice]]:
    """Who is to be told what; nobody, at no cost, where the configuration names nobody."""
    for event, state in told if known else ():
        for notice in notices(event, execution, plan, state, line_for(event, execution, plan, state)):
            for key in route(known, notice):
                yield key, notice
