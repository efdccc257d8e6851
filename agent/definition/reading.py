"""A pipeline together with where everything was written: what the rules look at."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from agent.definition.diagnostics import Diagnostic
from agent.definition.document import Action, Pipeline, Stage
from agent.definition.matrix import Leg, expand
from agent.definition.nodes import Node, Scalar
from agent.definition.order import Order, Spot
from agent.definition.shape import locate

Loc = tuple[str | int, ...]


class Placed(NamedTuple):
    """An action, and where it is."""

    spot: Spot
    stage: Stage
    action: Action

    @property
    def loc(self) -> Loc:
        return ("stages", self.spot[0], "actions", self.spot[1])


class Reading:
    """One pipeline file as it was read. `lost` are words of parts that were too broken to read."""

    def __init__(self, pipeline: Pipeline, root: Node, lost: frozenset[str], sources: Mapping[str, str]) -> None:
        self.pipeline = pipeline
        self.root = root
        self.lost = lost
        self.order = Order(pipeline)
        self._sources = sources
        self._legs: dict[Spot, tuple[Leg, ...]] = {}
        self._lines: dict[str, list[str]] = {}

    @cached_property
    def actions(self) -> tuple[Placed, ...]:
        """All actions, in the order of the file."""
        return tuple(
            Placed((at, index), stage, action)
            for at, stage in enumerate(self.pipeline.stages)
            for index, action in enumerate(stage.actions)
        )

    def legs_of(self, spot: Spot) -> tuple[Leg, ...]:
        """The legs of an action."""
        if spot not in self._legs:
            self._legs[spot] = expand(self.pipeline.stages[spot[0]].actions[spot[1]])
        return self._legs[spot]

    def at(self, code: str, loc: Loc, message: str, hint: str = "", *, on_key: bool = False) -> Diagnostic:
        """A diagnostic about the value (or its key) at a path of the file, or what is nearest to it."""
        place = locate(self.root, loc)
        node: Node = place.key if on_key and place.key else place.node
        return Diagnostic(code, node.span, message, hint, node.width if isinstance(node, Scalar) else 1)

    def within(self, code: str, scalar: Scalar, fragment: str, nth: int, message: str, hint: str = "") -> Diagnostic:
        """A diagnostic about the nth (from 0) time that a fragment stands in a text."""
        places = self._places(scalar, fragment)
        place = next((place for index, place in enumerate(places) if index == nth), None)
        if place is None:
            return Diagnostic(code, scalar.span, message, hint, scalar.width)
        span = scalar.span._replace(line=place[0], column=place[1])
        return Diagnostic(code, span, message, hint, len(fragment.split("\n", 1)[0]))

    def _places(self, scalar: Scalar, fragment: str) -> Iterator[tuple[int, int]]:
        """Line and column of each time the fragment stands in the lines of the scalar."""
        path = scalar.span.path
        lines = self._lines.setdefault(path, self._sources.get(path, "").split("\n") if path not in self._lines else [])
        for number in range(scalar.span.line, min(max(scalar.last, scalar.span.line), len(lines)) + 1):
            start = scalar.span.column - 1 if number == scalar.span.line else 0
            while (found := lines[number - 1].find(fragment, start)) >= 0:
                yield number, found + 1
                start = found + len(fragment)
