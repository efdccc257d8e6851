"""What `uses: pipeline` starts at its own commit, over all pipelines of it (GP809, GP810)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from agent.definition.diagnostics import Diagnostic
from agent.definition.reading import Placed, Reading
from agent.definition.suggest import did_you_mean


class Start(NamedTuple):
    """An action that starts a pipeline of this name."""

    reading: Reading
    placed: Placed
    name: str


def judge(readings: Sequence[Reading], files: Sequence[str]) -> Iterator[Diagnostic]:
    """`files` are the names of all pipelines, also of those that could not be read."""
    known = {reading.pipeline.name: reading for reading in readings}
    starts = [start for reading in readings for start in _starts(reading)]
    ways: dict[str, set[str]] = {}
    for start in starts:
        ways.setdefault(start.reading.pipeline.name, set()).add(start.name)
    for start in starts:
        if start.name not in files:
            yield _at(start, "GP809", f"there is no pipeline '{start.name}' to start", did_you_mean(start.name, files))
        elif start.name in known:
            yield from _variables(start, known[start.name])
        yield from _circle(start, ways)


def _starts(reading: Reading) -> Iterator[Start]:
    """Those that are certain to mean this commit."""
    for placed in reading.actions:
        options = placed.action.options
        name = options.get("pipeline")
        elsewhere = options.get("repository") or options.get("branch")
        if placed.action.uses == "pipeline" and isinstance(name, str) and "${{" not in name and not elsewhere:
            yield Start(reading, placed, name)


def _variables(start: Start, target: Reading) -> Iterator[Diagnostic]:
    """GP809: variables that the pipeline does not have, and those that it needs."""
    given = start.placed.action.options.get("variables", {})
    if not isinstance(given, Mapping) or "variables" in target.lost:
        return
    declared = target.pipeline.variables
    for name in given:
        if name not in declared:
            loc = (*start.placed.loc, "with", "variables", name)
            message = f"pipeline '{start.name}' has no variable '{name}'"
            yield start.reading.at("GP809", loc, message, did_you_mean(name, declared), on_key=True)
    for name, variable in declared.items():
        if variable.default is None and name not in given:
            yield _at(
                start, "GP809", f"pipeline '{start.name}' needs a value for its variable '{name}'", f"variables: {{{name}: …}}"
            )


def _circle(start: Start, ways: Mapping[str, set[str]]) -> Iterator[Diagnostic]:
    """GP810: a pipeline that starts itself again, perhaps by way of others."""
    own = start.reading.pipeline.name
    led: dict[str, tuple[str, ...]] = {start.name: (own, start.name)}
    waiting = [start.name]
    for name in waiting:
        if name == own:
            message = f"'{own}' would start itself again: {' -> '.join(led[name])}"
            yield _at(start, "GP810", message, "nothing would ever end; let another pipeline do what is common to both")
            return
        for further in sorted(ways.get(name, ()) - led.keys()):
            led[further] = (*led[name], further)
            waiting.append(further)


def _at(start: Start, code: str, message: str, hint: str) -> Diagnostic:
    return start.reading.at(code, (*start.placed.loc, "with", "pipeline"), message, hint)
