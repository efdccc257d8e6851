"""Globs: the golden tables, and agreement with a slow matcher that is right by construction."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.glob import GlobError, compiled, matches, problem

CASES = Path(__file__).parent.parent / "cases" / "globs"


def rows(name):
    lines = (CASES / name).read_text().splitlines()
    return [[cell.strip() for cell in line.split(" |")] for line in lines if line and not line.startswith("# ")]


def names(column):
    return [(row[0], name) for row in rows("codepipeline.txt") for name in row[column].split()]


@pytest.mark.parametrize(("pattern", "name"), names(1))
def test_matches(pattern, name):
    assert matches(pattern, name)


@pytest.mark.parametrize(("pattern", "name"), names(2))
def test_does_not_match(pattern, name):
    assert not matches(pattern, name)


@pytest.mark.parametrize(("pattern", "said"), rows("broken.txt"))
def test_says_what_is_wrong(pattern, said):
    assert said in (problem(pattern) or "nothing")


@pytest.mark.parametrize(("pattern", "said"), [("", "empty"), ("x" * 256, "256 characters")])
def test_has_limits(pattern, said):
    assert said in (problem(pattern) or "nothing")


@given(st.text(alphabet="ab/*?[]{},!-\\^.", max_size=12), st.text(alphabet="ab/.,-", max_size=8))
def test_any_text_is_a_pattern_or_has_a_problem(pattern, name):
    if problem(pattern) is None:
        assert matches(pattern, name) in {True, False}
    elif not pattern.startswith("/"):
        with pytest.raises(GlobError):
            compiled(pattern)


# A pattern as a list of items; each item says by itself what it may consume, from the rules and not from a regular expression.

simple = st.sampled_from(["*", "**", "?", "/", "/", "a", "b", "[ab]", "[!a]", "**/", "/**/"])
items = st.lists(st.one_of(simple, st.lists(st.lists(simple, max_size=2), min_size=1, max_size=2)), max_size=7)


def text_of(item):
    return item if isinstance(item, str) else "{" + ",".join("".join(part) for part in item) + "}"


def flattened(pattern):
    """All patterns without groups that a pattern stands for."""
    if not pattern:
        return [""]
    first, *rest = pattern
    heads = [first] if isinstance(first, str) else ["".join(part) for part in first]
    return [head + tail for head in heads for tail in flattened(rest)]


def slow(pattern, name, at_segment_start=True):
    """Tries everything. `**/` at the start of a segment may stand for nothing."""
    if not pattern:
        return not name
    if pattern.startswith("**"):
        rest = pattern.lstrip("*")
        anything = any(slow(rest, name[taken:], False) for taken in range(len(name) + 1))
        return anything or (at_segment_start and rest.startswith("/") and slow(rest[1:], name, True))
    if pattern.startswith("*"):
        run = len(name.split("/")[0])
        return any(slow(pattern[1:], name[taken:], False) for taken in range(run + 1))
    end = pattern.index("]") + 1 if pattern.startswith("[") else 1
    return bool(name) and consumes(pattern[:end], name[0]) and slow(pattern[end:], name[1:], pattern[0] == "/")


def consumes(item, char):
    match item:
        case "?":
            return char != "/"
        case "[ab]":
            return char in "ab"
        case "[!a]":
            return char not in "a/"
        case _:
            return char == item


@given(items, st.text(alphabet="aab//", max_size=9))
def test_agrees_with_the_slow_matcher(pattern, name):
    text = "".join(text_of(item) for item in pattern)
    if not text:
        return
    # stars that meet over the edge of a group are two wildcards, not one: keep them apart for the slow matcher, which reads text
    candidates = [flat for flat in flattened(pattern) if "***" not in flat]
    if len(candidates) == len(flattened(pattern)) and not edges_meet(pattern):
        assert matches(text, name) == any(slow(flat, name) for flat in candidates)


def edges_meet(pattern):
    """Whether two stars stand together that belong to different items, so that the text reads otherwise than it was meant."""
    options = [[item] if isinstance(item, str) else ["".join(part) for part in item] for item in pattern]
    return any(
        "*" in left[-1:] and "*" in right[:1] for i, here in enumerate(options) for left in here for right in nexts(options, i)
    )


def nexts(options, index):
    """What may follow, over parts that may be empty."""
    for following in options[index + 1 :]:
        yield from (part for part in following if part)
        if "" not in following:
            return


@pytest.mark.parametrize("pattern", ["*a" * 60 + "b", "**a" * 60 + "b", "**/*a" * 40 + "b", "**a*a" * 40 + "b", "**/" * 60 + "b"])
def test_hostile_patterns_end(pattern):
    """With plain `.*` each of these runs for longer than anybody waits."""
    assert not matches(pattern, "a" * 4000)
    assert not matches(pattern, "a/" * 2000)
