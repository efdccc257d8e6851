"""Publishes notes beside the loop: the newest state of each execution that changed, one at a time, never twice the same."""

import time
from collections.abc import Callable
from threading import Condition, Thread
from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.execution.state import ExecutionState
from agent.model.execution import Execution
from agent.model.plan import Plan
from agent.model.value import Value


class Snapshot(Value, frozen=True, kw_only=True):
    """An execution at one moment; `state.seq` says which."""

    execution: Execution
    plan: Plan
    state: ExecutionState


PACE = 1.0  # seconds between two publications of an execution that merely goes on

Publish = Callable[[Snapshot], None]
Published = Callable[[Snapshot, EnvironmentFault | None], None]


class _Waiting(NamedTuple):
    snapshot: Snapshot
    due: float  # by time.monotonic()


class Publishing:
    """A thread that calls `publish` for what `offer` brings; a newer snapshot takes the place of one that still waits.

    `done` is called in that thread after each attempt, with the fault if it failed: offering again is the caller's business.
    """

    def __init__(self, publish: Publish, done: Published) -> None:
        self._publish = publish
        self._done = done
        self._waiting: dict[str, _Waiting] = {}
        self._last: dict[str, float] = {}  # when an execution that is not over was published
        self._busy = False
        self._changed = Condition()
        Thread(target=self._run, name="publishing", daemon=True).start()

    def offer(self, snapshot: Snapshot, *, at_once: bool = True) -> None:
        """Publish this; unless at once, when a moment has passed since the last publication of the execution."""
        execution = snapshot.execution.id
        with self._changed:
            due = 0.0 if at_once or execution not in self._last else self._last[execution] + PACE
            former = self._waiting.get(execution)
            self._waiting[execution] = _Waiting(snapshot, min(due, former.due) if former else due)
            self._changed.notify()

    @property
    def is_idle(self) -> bool:
        with self._changed:
            return not self._waiting and not self._busy

    def _run(self) -> None:
        while True:
            snapshot = self._next()
            fault = None
            try:
                self._publish(snapshot)
            except EnvironmentFault as error:
                fault = error
            except Exception as error:
                fault = _unforeseen(error)
            self._done(snapshot, fault)
            with self._changed:
                self._busy = False

    def _next(self) -> Snapshot:
        with self._changed:
            while True:
                now = time.monotonic()
                if found := next((one for one in self._waiting.values() if one.due <= now), None):
                    return self._taken(found.snapshot, now)
                self._changed.wait(min((one.due - now for one in self._waiting.values()), default=None))

    def _taken(self, snapshot: Snapshot, now: float) -> Snapshot:
        execution = snapshot.execution.id
        self._busy = True
        del self._waiting[execution]
        self._last.pop(execution, None)
        if not snapshot.state.status.is_final:
            self._last[execution] = now
        return snapshot


def _unforeseen(error: Exception) -> EnvironmentFault:
    """A bug of ours must not end the thread: nothing would be published any more, and nobody would know."""
    return EnvironmentFault(f"a bug of git-pipeline: {error!r}", hint="report it; what is not published yet stays in state.db")
