"""Where the client reads executions from: the notes of a clone, or on the server the live state; and how people name them."""

import re
from collections.abc import Sequence
from typing import Protocol

from agent.errors import UsageError
from agent.results.record import ActionRecord, Record, StageRecord

_NUMBER = re.compile(r"#?(\d{1,9})")
_NAMED = re.compile(r"(?P<pipeline>[A-Za-z0-9][A-Za-z0-9._-]*)\s*[#/](?P<number>\d{1,9})")
_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")

Chosen = tuple[StageRecord, ActionRecord]


class Source(Protocol):
    """Executions to read. Everything that may be many is bounded by the caller, and newest first."""

    def recent(self, limit: int) -> tuple[Record, ...]:
        """The executions that changed last."""

    def of_commit(self, commit: str) -> tuple[Record, ...]: ...

    def numbered(self, number: int, pipeline: str = "") -> tuple[Record, ...]:
        """All with this number, of one pipeline or of any."""

    def identified(self, execution: str) -> Record | None: ...

    def latest(self, pipeline: str) -> Record | None: ...

    def commit(self, revision: str) -> str:
        """The commit that a revision means; empty if it means none."""

    def subjects(self, commits: Sequence[str]) -> dict[str, str]:
        """First lines of the messages of those commits that are here."""

    def logs(self, record: Record, attempts: Sequence[str]) -> dict[str, bytes]:
        """What is kept of what these attempts (ids) printed."""


def resolve(source: Source, words: str) -> Record:
    """The execution that somebody means: 42, release#42, an id, a pipeline (its last one), or a revision (its last one).

    Without words the last one of HEAD. Raises UsageError with what could have been meant.
    """
    if not words:
        return _of_head(source)
    if found := _NUMBER.fullmatch(words):
        numbered = source.numbered(int(found[1]))
        if len(numbered) > 1:
            labels = ", ".join(record.handle for record in numbered)
            raise UsageError(f"several pipelines have a #{found[1]}: {labels}", hint=f"say {numbered[0].handle}, for example")
        if numbered:
            return numbered[0]
    elif found := _NAMED.fullmatch(words):
        if numbered := source.numbered(int(found["number"]), found["pipeline"]):
            return numbered[0]
    elif _ID.fullmatch(words) and (record := source.identified(words)):
        return record
    return _by_name(source, words)


def _of_head(source: Source) -> Record:
    commit = source.commit("HEAD")
    records = source.of_commit(commit) if commit else ()
    if records:
        return records[0]
    newest = source.recent(1)
    hint = f"the last one is {newest[0].label}: git pipeline log {newest[0].handle}" if newest else ""
    raise UsageError(f"no execution of HEAD ({commit[:12]})" if commit else "HEAD is no commit yet", hint=hint)


def _by_name(source: Source, words: str) -> Record:
    commit = source.commit(words)
    if commit and (records := source.of_commit(commit)):
        return records[0]
    if record := source.latest(words):
        return record
    if commit:
        raise UsageError(f"no execution of {words} ({commit[:12]})", hint="git pipeline status shows those there are")
    raise UsageError(f"no execution is called {words}", hint=_near(words, source.recent(50)))


def _near(words: str, records: Sequence[Record]) -> str:
    from difflib import get_close_matches

    names = dict.fromkeys([record.handle for record in records] + [record.pipeline for record in records])
    near = get_close_matches(words.replace(" ", ""), list(names), 3)
    last = f"the last one is {records[0].handle}; git pipeline list shows more" if records else "git pipeline list shows them"
    return f"did you mean {' or '.join(near)}?" if near else last


def choose(record: Record, words: str) -> tuple[Chosen, ...]:
    """The actions that somebody means: all without words; build/unit, unit, a stage, or the base of a matrix (unit).

    Raises UsageError with what could have been meant.
    """
    everything = tuple((stage, action) for stage in record.stages for action in stage.actions)
    if not words:
        return everything
    exact = [chosen for chosen in everything if words in _names(*chosen)]
    if exact:
        return tuple(exact)
    names = dict.fromkeys(
        name for stage, action in everything for name in (f"{stage.name}/{action.name}", action.name, stage.name)
    )
    from difflib import get_close_matches

    near = get_close_matches(words, list(names), 3)
    places = ", ".join(f"{stage.name}/{action.name}" for stage, action in everything[:20])
    raise UsageError(
        f"{record.label} has no action {words}",
        hint=f"did you mean {' or '.join(near)}?" if near else f"it has {places}" if places else "it has no actions",
    )


def _names(stage: StageRecord, action: ActionRecord) -> set[str]:
    base = action.name.split(" (", 1)[0]
    return {stage.name, action.name, base, f"{stage.name}/{action.name}", f"{stage.name}/{base}"}
