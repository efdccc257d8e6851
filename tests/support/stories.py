"""Executions told as stories for tests: a plan and a journal made by hand, folded by the real fold."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.execution import events
from agent.execution.fold import evolve
from agent.execution.state import ExecutionState
from agent.model.execution import Execution, TriggerType
from agent.model.ids import attempt_id, execution_id
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import Plan, PlannedAction, PlannedStage, Run
from agent.results.record import LogRecord, Record
from agent.results.recording import make

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
COMMIT = "3f9c2ab07d51e86b4c0f9a1d2e3b4c5d6e7f8091"


def action(name: str, work: Any = None, **fields: Any) -> PlannedAction:
    return PlannedAction(name=name, work=work or Run(script="make\n", image="debian:12"), **fields)


def stage(name: str, *actions: PlannedAction, **fields: Any) -> PlannedStage:
    return PlannedStage(name=name, actions=actions, **fields)


def plan(*stages: PlannedStage, pipeline: str = "release", **fields: Any) -> Plan:
    return Plan(pipeline=pipeline, stages=stages, definition="4b825dc642cb6eb9a060e54bf8d69288fbee4904", **fields)


class Story:
    """One execution, told step by step; `at` is the clock of the story in seconds after noon."""

    def __init__(self, planned: Plan, number: int = 42, **fields: Any) -> None:
        self.at = 0.0
        self.plan = planned
        self.events: list[Any] = []
        self.state = ExecutionState()
        self.logs: dict[str, LogRecord] = {}
        common = {"commit": COMMIT, "ref": "refs/heads/main", "trigger": TriggerType.PUSH, "actor": "alice"}
        identity = execution_id(int(NOON.timestamp() * 1000) + number, number.to_bytes(10, "big"))
        told = {"id": identity, "pipeline": planned.pipeline, "number": number, "created_at": NOON, **common, **fields}
        self.execution = Execution(**told)

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.at)

    def after(self, seconds: float) -> "Story":
        self.at += seconds
        return self

    def tell(self, kind: type, **fields: Any) -> "Story":
        event = kind(at=self.now, **fields)
        self.events.append(event)
        self.state = evolve(self.state, event)
        return self

    def begin(self) -> "Story":
        return self.tell(events.ExecutionStarted)

    def enter(self, name: str) -> "Story":
        self.tell(events.StageArrived, stage=name)
        return self.tell(events.StageEntered, stage=name)

    def start(self, name: str, *actions: str, attempt: int = 1, days: float = 0.05) -> "Story":
        for one in actions:
            deadline = self.now + timedelta(days=days)
            self.tell(events.ActionStarting, stage=name, action=one, attempt=attempt, deadline=deadline)
        return self

    def end(self, name: str, one: str, attempt: int = 1, tail: Iterable[str] = (), **outcome: Any) -> "Story":
        fields = {"status": Status.SUCCEEDED, "ended_at": self.now, **outcome}
        lines = tuple(tail)
        if lines:
            record = LogRecord(lines=len(lines), bytes=sum(len(line) + 1 for line in lines), tail=lines)
            self.logs[attempt_id(self.execution.id, name, one, attempt)] = record
        return self.tell(events.ActionEnded, stage=name, action=one, attempt=attempt, outcome=Outcome(**fields))

    def fail(self, name: str, one: str, code: int = 1, **outcome: Any) -> "Story":
        fields = {"status": Status.FAILED, "reason": Reason.EXIT, "exit_code": code, **outcome}
        return self.end(name, one, **fields)

    def leave(self, name: str, status: Status = Status.SUCCEEDED, message: str = "") -> "Story":
        return self.tell(events.StageEnded, stage=name, status=status, message=message)

    def finish(self, status: Status = Status.SUCCEEDED, message: str = "") -> "Story":
        return self.tell(events.ExecutionEnded, status=status, message=message)

    @property
    def record(self) -> Record:
        return make(self.execution, self.plan, self.state, self.now, logs=self.logs)
