"""Inclusions and exclusions of one part of a trigger."""

import pytest

from agent.model.trigger import Patterns
from agent.plan.patterns import first_match, listed, matches, refusal


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (Patterns(), ""),
        (Patterns(("a",)), ""),
        (Patterns(("b", "c/**")), "matches none of b, c/**"),
        (Patterns(("b",), ("a",)), "is excluded by a"),
        (Patterns((), ("b", "?")), "is excluded by ?"),
    ],
)
def test_refusal_says_why_a_name_does_not_pass(patterns, said):
    assert refusal(patterns, "a") == said
    assert matches(patterns, "a") == (not said)


def test_names_after_the_first_match_are_not_looked_at():
    def names():
        yield "docs/a"
        yield "src/a"
        raise AssertionError("one good file is enough")

    assert first_match(Patterns(("src/**",)), names()) == "src/a"


def test_listed_cuts():
    assert listed("abc", 3) == "a, b, c"
    assert listed("abcde", 3) == "a, b, c and 2 more"
