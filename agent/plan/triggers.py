"""Whether a push starts a pipeline, and why not. This answers "why did it (not) start?" (codepipeline.md 2.10).

Triggers are OR-ed; the parts of one are AND-ed; each changed file is judged by itself and one good file is enough. The costly
questions (the diff, the commit message) are asked only when the answer depends on them. The hooks import this.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from agent.model.push import RefUpdate
from agent.model.trigger import Entry, Patterns, PushTrigger
from agent.plan.patterns import first_match, listed, refusal

SKIP = re.compile(r"\[(?:skip ci|ci skip|skip pipeline)\]", re.IGNORECASE)

Changed = Callable[[], Iterable[str] | None]


class Match(NamedTuple):
    """The push starts the pipeline: by which trigger (counted from 0), and why in words."""

    trigger: int
    reason: str


class NoMatch(NamedTuple):
    """The push does not start the pipeline: for each of its triggers one reason, or one for all of them."""

    reasons: tuple[str, ...]


Decision = Match | NoMatch


def decide(entry: Entry, update: RefUpdate, changed: Changed, message: Callable[[], str], *, skip: bool = False) -> Decision:
    """Say whether an update of a ref starts a pipeline.

    `changed` gives the paths that differ between `update.base` and `update.new`, or None where that cannot be told (then
    every path filter passes); `message` the commit message of `update.new`. Each is called at most once, and only if
    needed; a caller with several pipelines caches them. `skip` is the push option.
    """
    if refused := _refuse_all(entry, update, skip):
        return NoMatch((refused,))
    paths = _Paths(changed)
    reasons = []
    for index, trigger in enumerate(entry.pushes):
        passed, reason = _judge(trigger, update, paths)
        if passed:
            return _unless_skipped(Match(index, reason), message())
        reasons.append(reason)
    return NoMatch(tuple(reasons))


def _refuse_all(entry: Entry, update: RefUpdate, skip: bool) -> str:
    if update.is_deletion:
        return f"{update.ref} was deleted, and a deletion starts nothing"
    if not update.branch and not update.tag:
        return f"{update.ref} is neither a branch nor a tag"
    if not entry.pushes:
        return "it has no push trigger" + (", only a schedule" if entry.schedules else "")
    return "the push asks to skip (-o pipeline.skip)" if skip else ""


def _unless_skipped(match: Match, message: str) -> Decision:
    found = SKIP.search(message)
    return NoMatch((f"the commit message says {found[0]}",)) if found else match


class _Paths:
    """The changed paths, asked for once."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._paths: tuple[str, ...] | None = None
        self._is_asked = False

    def all(self) -> tuple[str, ...] | None:
        if not self._is_asked:
            paths = self._changed()
            self._paths, self._is_asked = None if paths is None else tuple(paths), True
        return self._paths


def _judge(trigger: PushTrigger, update: RefUpdate, paths: _Paths) -> tuple[bool, str]:
    """Whether one trigger fires, and why or why not."""
    if update.tag:
        return _judge_tag(trigger, update.tag)
    if trigger.tags is not None:
        return False, f"it waits for tags, this is the branch {update.branch}"
    if trigger.branches is not None and (refused := refusal(trigger.branches, update.branch)):
        return False, f"branch {update.branch} {refused}"
    if trigger.paths is None:
        return True, f"branch {update.branch}"
    passed, reason = _judge_paths(trigger.paths, paths.all())
    return passed, f"branch {update.branch}, {reason}" if passed else reason


def _judge_tag(trigger: PushTrigger, tag: str) -> tuple[bool, str]:
    if trigger.tags is None:
        return False, f"it waits for branches, this is the tag {tag}"
    refused = refusal(trigger.tags, tag)
    return not refused, f"tag {tag} {refused}".rstrip()


def _judge_paths(patterns: Patterns, paths: tuple[str, ...] | None) -> tuple[bool, str]:
    if paths is None:
        return True, "what changed cannot be told, so every path counts as changed"
    if not paths:
        return False, "no file changed"
    if found := first_match(patterns, paths):
        return True, f"{found} changed"
    if len(paths) == 1:
        return False, f"the one changed file, {paths[0]}, {refusal(patterns, paths[0])}"
    return False, f"none of the {len(paths)} changed files passes ({_filter(patterns)}): {listed(paths, 3)}"


def _filter(patterns: Patterns) -> str:
    include = f"include {listed(patterns.include)}" if patterns.include else ""
    exclude = f"exclude {listed(patterns.exclude)}" if patterns.exclude else ""
    return "; ".join(part for part in (include, exclude) if part)
