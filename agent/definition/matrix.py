"""A matrix: which combinations of values there are, and how the action of each is called.

The rules are those of GitHub Actions: `exclude` removes from the product of the axes, then each `include` is added to every
combination whose own values it would not change, or is a combination of its own where there is none.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from math import prod
from typing import NamedTuple

from agent.definition.document import Action, Matrix

MAX_LEGS = 128
MAX_ENTRIES = 64  # of include and of exclude


class Leg(NamedTuple):
    """One action of a matrix: its name, and its values by key."""

    name: str
    values: dict[str, str]


def too_large(matrix: Matrix) -> bool:
    """Whether the product of the axes, or a list of combinations, is more than is ever expanded."""
    product_size = prod(len(values) for values in matrix.axes.values())
    return product_size > MAX_LEGS or max(len(matrix.include), len(matrix.exclude)) > MAX_ENTRIES


def expand(action: Action) -> tuple[Leg, ...]:
    """The legs of an action, in the order of the file: one without values where it has no matrix, none where it is too large."""
    if action.matrix is None:
        return (Leg(action.name, {}),)
    if too_large(action.matrix):
        return ()
    return tuple(Leg(leg_name(action.name, values), values) for values in combinations(action.matrix))


def combinations(matrix: Matrix) -> tuple[dict[str, str], ...]:
    """All combinations of values, each once."""
    original = [leg for leg in _product(matrix.axes) if not any(_has(leg, entry) for entry in matrix.exclude)]
    legs = [dict(leg) for leg in original]
    alone: list[dict[str, str]] = []
    for entry in matrix.include:
        fitting = [
            index for index, leg in enumerate(original) if all(leg.get(key, value) == value for key, value in entry.items())
        ]
        for index in fitting:
            legs[index].update(entry)
        if not fitting:
            alone.append(dict(entry))
    return _distinct(legs + alone)


def leg_name(action: str, values: Mapping[str, str]) -> str:
    """The name of the action of one combination: `unit (3.11, linux)`."""
    return f"{action} ({', '.join(values.values())})" if values else action


def _product(axes: Mapping[str, tuple[str, ...]]) -> Iterable[dict[str, str]]:
    if not axes:
        return ()
    return (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))


def _has(leg: Mapping[str, str], entry: Mapping[str, str]) -> bool:
    return all(leg.get(key) == value for key, value in entry.items())


def _distinct(legs: Iterable[dict[str, str]]) -> tuple[dict[str, str], ...]:
    return tuple({tuple(leg.items()): leg for leg in legs}.values())
