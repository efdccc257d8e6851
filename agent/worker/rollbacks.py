"""Rollbacks: a new execution that runs one stage as a former execution ran it (codepipeline.md 2.6)."""

from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from agent.execution.events import Event, RollbackStarted
from agent.model.execution import Execution, Rollback, TriggerType
from agent.model.ids import ExecutionId, StageName
from agent.state.passes import Passes
from agent.state.queue import Queue
from agent.worker.running import Running


class Rollbacks:
    """Queues rollbacks; the same failure rolls back once, however often it is asked for."""

    def __init__(self, queue: Queue, passes: Passes, clock: Callable[[], datetime], new_id: Callable[[], ExecutionId]) -> None:
        self._queue = queue
        self._passes = passes
        self._clock = clock
        self._new_id = new_id

    def start(self, failed: Running, stage: StageName) -> Iterator[Event]:
        """Roll a failed stage back to the last other execution that succeeded in it; the fact to journal."""
        last = self._passes.last(failed.execution.pipeline, stage, before=failed.execution.id, standard=True)
        target = self._queue.get(last.execution) if last else None
        if target is None:
            yield RollbackStarted(at=self._clock(), stage=stage, execution="")
            return
        attempt = failed.state.stages[stage].attempt
        once = f"rollback:{failed.execution.id}:{stage}:{attempt}"
        execution, number = self.enqueue(
            msgspec.json.decode(target.body, type=Execution), stage, TriggerType.AUTOMATIC_ROLLBACK, failed.execution.label, once
        )
        yield RollbackStarted(at=self._clock(), stage=stage, execution=execution, number=number)

    def enqueue(
        self, target: Execution, stage: StageName, trigger: TriggerType, actor: str, once: str
    ) -> tuple[ExecutionId, int]:
        """Queue the execution that runs `stage` as `target` did: its commit, its variables, its artifacts."""
        wish = Execution(
            id=self._new_id(),
            pipeline=target.pipeline,
            number=0,
            commit=target.commit,
            ref=target.ref,
            trigger=trigger,
            created_at=self._clock(),
            previous=target.previous,
            actor=actor,
            variables=target.variables,
            rollback=Rollback(stage=stage, target=target.id, target_number=target.number),
        )
        execution, number = self._queue.enqueue(msgspec.to_builtins(wish), once=once)
        return ExecutionId(execution), number
