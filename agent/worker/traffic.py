"""Admission between the executions of the repository: `execution/modes.py`, fed from the state and from git."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache

from agent.errors import EnvironmentFault
from agent.execution.events import Event, StageEntered
from agent.execution.modes import Decision, Enter, Place, admit, superseded
from agent.git.command import Git
from agent.git.history import is_ancestor
from agent.model.ids import ExecutionId, PipelineName, StageName
from agent.state.passes import Passes
from agent.state.transitions import Transitions
from agent.worker.running import Running


class Traffic:
    """Says which of the waiting executions may enter a stage, and which lose their place."""

    def __init__(self, git: Git, transitions: Transitions, passes: Passes) -> None:
        self._transitions = transitions
        self._passes = passes
        self._is_ancestor = lru_cache(maxsize=4096)(lambda older, newer: is_ancestor(git, older, newer))

    def admit(self, running: Mapping[ExecutionId, Running], now: datetime) -> Iterator[tuple[Running, tuple[Event, ...]]]:
        """The events to journal, execution by execution; call again once they are, until nothing is said."""
        present = [place for one in running.values() if not one.is_over for place in one.places(now)]
        if all(place.held and not place.patient for place in present):
            return
        closed = {(PipelineName(one.pipeline), StageName(one.stage)) for one in self._transitions.closed()}
        for decision in admit(present, closed=closed, outdated=self._outdated(present, running)):
            one = running[decision.execution]
            yield one, _events(one, decision, running, now)

    def _outdated(self, present: list[Place], running: Mapping[ExecutionId, Running]) -> frozenset[tuple[ExecutionId, StageName]]:
        return frozenset(
            (place.execution, place.stage)
            for place in present
            if not place.held and running[place.execution].stage(place.stage).ancestry and self._is_older(running, place)
        )

    def _is_older(self, running: Mapping[ExecutionId, Running], place: Place) -> bool:
        last = self._passes.last(place.pipeline, place.stage)
        commit = running[place.execution].execution.commit
        try:
            return last is not None and last.commit != commit and self._is_ancestor(commit, last.commit)
        except EnvironmentFault:  # one of them is gone: nobody can tell that it is older
            return False


def _events(one: Running, decision: Decision, running: Mapping[ExecutionId, Running], now: datetime) -> tuple[Event, ...]:
    if isinstance(decision, Enter):
        return (StageEntered(at=now, stage=decision.stage),)
    by = running[decision.by].execution.label if decision.by else ""
    return superseded(one.plan, one.state, decision.stage, by, now)
