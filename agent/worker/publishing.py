"""Publishes notes beside the loop: the newest state of each execution that changed, one at a time, never twice the same."""

from collections.abc import Callable
from threading import Condition, Thread

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


Publish = Callable[[Snapshot], None]
Published = Callable[[Snapshot, EnvironmentFault | None], None]


class Publishing:
    """A thread that calls `publish` for what `offer` brings; a newer snapshot takes the place of one that still waits.

    `done` is called in that thread after each attempt, with the fault if it failed: offering again is the caller's business.
    """

    def __init__(self, publish: Publish, done: Published) -> None:
        self._publish = publish
        self._done = done
        self._waiting: dict[str, Snapshot] = {}
        self._busy = False
        self._changed = Condition()
        Thread(target=self._run, name="publishing", daemon=True).start()

    def offer(self, snapshot: Snapshot) -> None:
        """Publish this soon."""
        with self._changed:
            self._waiting[snapshot.execution.id] = snapshot
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
            self._changed.wait_for(lambda: bool(self._waiting))
            self._busy = True
            return self._waiting.pop(next(iter(self._waiting)))


def _unforeseen(error: Exception) -> EnvironmentFault:
    """A bug of ours must not end the thread: nothing would be published any more, and nobody would know."""
    return EnvironmentFault(f"a bug of git-pipeline: {error!r}", hint="report it; what is not published yet stays in state.db")
