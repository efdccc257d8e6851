"""An execution that is in flight, as the worker holds it: its plan, its state, and the only hand that writes its journal."""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import accumulate

import msgspec

from agent.execution.events import Event
from agent.execution.fold import evolve, fold
from agent.execution.modes import Place, places
from agent.execution.state import ExecutionState
from agent.model.execution import Execution
from agent.model.ids import attempt_id
from agent.model.outcome import Status
from agent.model.plan import Approval, Plan, PlannedAction, PlannedStage
from agent.state.journal import Journal

Told = tuple[tuple[Event, ExecutionState], ...]  # events, each with the state after it
Tell = Callable[[Execution, Plan, Told], Callable[[], None] | None]


class Running:
    """Keeps `state == fold(journal)` at all times. Made from the journal, so a restart finds what was."""

    def __init__(self, execution: Execution, plan: Plan, journal: Journal, tell: Tell | None = None) -> None:
        """`tell` hears of events before they are journalled; what it returns is called in the transaction that journals them."""
        self.execution = execution
        self.fix(plan)
        self.state = fold(msgspec.json.decode(body, type=Event) for body in journal.read(execution.id))
        self.left_at = -1  # the state of which followers know that there is nothing more to see
        self.told: Status | None = None  # the status that the table of executions has
        self.wake_at: datetime | None = None
        self._journal = journal
        self._tell = tell
        self._places: tuple[Place, ...] | None = None

    def fix(self, plan: Plan) -> None:
        """What it is to do."""
        self.plan = plan
        self._stages = {str(stage.name): stage for stage in plan.stages}
        self._actions = {(str(stage.name), str(action.name)): action for stage in plan.stages for action in stage.actions}

    def record(self, events: Iterable[Event]) -> None:
        """Journal the events in one transaction, then take them into the state.

        Raises EnvironmentFault if the journal cannot be written; the state is then as before.
        """
        batch = tuple(events)
        if batch:
            bodies = [msgspec.json.encode(event) for event in batch]
            states = tuple(accumulate(batch, evolve, initial=self.state))[1:]
            self._journal.append(
                self.execution.id,
                self.state.seq,
                batch[-1].at.isoformat(),
                bodies,
                self._tell(self.execution, self.plan, tuple(zip(batch, states, strict=True))) if self._tell else None,
            )
            self.state = states[-1]
            self._places = None

    @property
    def is_over(self) -> bool:
        return self.state.status.is_final

    def stage(self, name: str) -> PlannedStage:
        return self._stages[name]

    def action(self, stage: str, name: str) -> PlannedAction:
        return self._actions[stage, name]

    def places(self, now: datetime) -> tuple[Place, ...]:
        """Where it stands between the executions of the repository."""
        if self._places is None:
            self._places = places(self.execution, self.plan, self.state, now)
        return self._places

    def attempts(self) -> tuple[tuple[str, str, int], ...]:
        """Stage, action and number of each attempt that was started and has not ended, approvals left out."""
        return tuple(
            (stage, name, action.attempt)
            for stage, held in self.state.stages.items()
            if held.is_held
            for name, action in held.actions.items()
            if action.status is Status.IN_PROGRESS and not isinstance(self.action(stage, name).work, Approval)
        )

    def attempt_id(self, stage: str, action: str, attempt: int) -> str:
        return attempt_id(self.execution.id, stage, action, attempt)

    @property
    def asks_people(self) -> bool:
        """Whether an approval waits."""
        return any(
            action.status is Status.IN_PROGRESS and isinstance(self.action(stage, name).work, Approval)
            for stage, held in self.state.stages.items()
            if held.is_held
            for name, action in held.actions.items()
        )
