"""Inclusions and exclusions applied to a name: an exclusion always wins, no inclusion means everything (codepipeline.md 2.10)."""

from collections.abc import Iterable

from agent.model.glob import matches as glob_matches
from agent.model.trigger import Patterns


def matches(patterns: Patterns, name: str) -> bool:
    """Whether a name (branch, tag or path) passes. Raises GlobError for a pattern that `agent.model.glob.problem` refuses."""
    if patterns.include and not any(glob_matches(glob, name) for glob in patterns.include):
        return False
    return not any(glob_matches(glob, name) for glob in patterns.exclude)


def refusal(patterns: Patterns, name: str) -> str:
    """Why a name does not pass, in words that follow it: "matches none of main, release/**"; empty if it passes."""
    if excluded := next((glob for glob in patterns.exclude if glob_matches(glob, name)), ""):
        return f"is excluded by {excluded}"
    if matches(patterns, name):
        return ""
    return f"matches none of {listed(patterns.include)}"


def first_match(patterns: Patterns, names: Iterable[str]) -> str | None:
    """The first of several names that passes, each judged by itself; names after it are not looked at."""
    return next((name for name in names if matches(patterns, name)), None)


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    every = tuple(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
