"""Executions that an attempt starts: of another pipeline of its repository, or of one of another repository of this machine."""

from collections.abc import Mapping
from typing import Protocol

from agent.model.outcome import Status
from agent.model.value import Value


class Child(Value, frozen=True, kw_only=True):
    """An execution that was started, as it stands."""

    id: str
    label: str  # release #42
    number: int
    status: Status


class Pipelines(Protocol):
    """One pipeline that an attempt may start. Each method raises EnvironmentFault if the repository cannot be read."""

    def start(self, branch: str, variables: Mapping[str, str], once: str) -> Child:
        """Queue an execution at the head of a branch, or, without one, at our own commit, elsewhere at the default branch.

        `once` names what asks for it: for the same again it is the same execution. Somebody will work on it. Raises
        RefusedError where the branch is not open to the attempt or has no such pipeline, where its variables are not so, and
        where the pipeline is one of those that led to this attempt.
        """

    def look(self, child: str) -> Child | None:
        """The execution of this id; None if it is not remembered any more."""

    def stop(self, child: str) -> None:
        """Ask for its end, and that of what runs of it. Safe twice, and where it is over."""
