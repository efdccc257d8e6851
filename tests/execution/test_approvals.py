"""Quorum is a matching: it is reached exactly when some assignment of people to seats exists."""

from itertools import permutations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from agent.execution.approvals import is_complete, may, missing
from agent.model.plan import Group

ROLES = {"alice": ("qa", "ops"), "bob": ("qa",), "carol": ("ops",), "olga": ("operator",)}
QA_OPS = (Group(any_of=("qa",)), Group(any_of=("ops",)))

TABLE = [
    ((), ("olga",), True, ""),
    ((), ("alice",), False, "needs 1 more of operator"),
    ((Group(any_of=("qa",), count=2),), ("alice",), False, "alice counts for qa; needs 1 more of qa"),
    ((Group(any_of=("qa",), count=2),), ("alice", "bob"), True, ""),
    (QA_OPS, ("alice",), False, "alice counts for qa; needs 1 more of ops"),
    (QA_OPS, ("alice", "bob"), True, ""),  # greedy counting gives alice's seat in qa away and blocks
    (QA_OPS, ("bob", "alice"), True, ""),
    (QA_OPS, ("alice", "alice"), False, "alice counts for qa; needs 1 more of ops"),
    (QA_OPS, ("bob", "olga"), False, "bob counts for qa; needs 1 more of ops"),
    ((Group(any_of=("carol", "qa"), count=2),), ("carol", "bob"), True, ""),
    (QA_OPS, (), False, "needs 1 more of qa and 1 more of ops"),
]


@pytest.mark.parametrize(("groups", "people", "complete", "words"), TABLE)
def test_quorum(groups, people, complete: bool, words: str):
    assert (is_complete(groups, people, ROLES), missing(groups, people, ROLES)) == (complete, words)


@pytest.mark.parametrize(
    ("groups", "person", "allowed"),
    [(QA_OPS, "bob", True), (QA_OPS, "olga", False), ((), "olga", True), ((), "bob", False), (QA_OPS, "mallory", False)],
)
def test_may(groups, person: str, allowed: bool):
    assert may(groups, person, ROLES) is allowed


people = st.lists(st.sampled_from(("a", "b", "c", "d")), unique=True, max_size=4)
groups = st.lists(st.builds(Group, any_of=people.map(tuple), count=st.integers(0, 2)), min_size=1, max_size=3)


@settings(max_examples=300, deadline=None)
@given(groups, people)
def test_complete_exactly_when_an_assignment_exists(asked: list[Group], agreed: list[str]):
    seats = [group for group in asked for _ in range(group.count)]
    found = any(
        all(person in seat.any_of for person, seat in zip(order, seats, strict=False))
        for order in permutations(agreed, len(seats))
    )
    assert is_complete(asked, agreed, {}) == found
    assert bool(missing(asked, agreed, {})) != found
