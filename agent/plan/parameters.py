"""The values that a start gives to pipeline variables (`-o pipeline.var.NAME=value`). The hooks import this.

A value given at the start wins over the default; a variable with neither is an error (codepipeline.md 2.9).
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from agent.errors import UsageError
from agent.model.trigger import Entry, Variable
from agent.plan.patterns import listed

MAX_LENGTH = 1000  # characters of a value (codepipeline.md 1.5)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # C0, C1, and what was not UTF-8

Given = Iterable[tuple[str, str]]


def check(entry: Entry, given: Given) -> dict[str, str]:
    """The value of every declared variable. Raises UsageError for an undeclared name, a bad value, or a missing one."""
    values = _unique(given)
    declared = {variable.name for variable in entry.variables}
    if unknown := [name for name in values if name not in declared]:
        raise UsageError(
            f"{entry.pipeline} has no variable {listed(unknown)}",
            hint=f"it declares {listed(sorted(declared), 20)}" if declared else f"declare it in .pipeline/{entry.pipeline}.yaml",
        )
    return {variable.name: _value(entry.pipeline, variable, values) for variable in entry.variables}


def share(entries: Sequence[Entry], given: Given) -> dict[str, dict[str, str]]:
    """The values for all pipelines that one push starts, by pipeline: each gets those it declares.

    Raises UsageError as `check` does, and for a name that none of them declares.
    """
    values = _unique(given)
    declared = {variable.name for entry in entries for variable in entry.variables}
    if unknown := [name for name in values if name not in declared]:
        started = listed([entry.pipeline for entry in entries]) or "nothing"
        raise UsageError(f"no pipeline that this push starts has a variable {listed(unknown)}", hint=f"it starts {started}")
    return {entry.pipeline: check(entry, _declared(entry, values)) for entry in entries}


def _declared(entry: Entry, values: Mapping[str, str]) -> Given:
    return [(variable.name, values[variable.name]) for variable in entry.variables if variable.name in values]


def _unique(given: Given) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in given:
        if values.setdefault(name, value) != value:
            raise UsageError(f"variable {name} is given twice, with different values")
        if fault := _fault(value):
            raise UsageError(f"the value of variable {name} {fault}")
    return values


def _fault(value: str) -> str:
    """What no value may be, whatever is declared: it comes from outside and ends in logs, notes and environments."""
    if len(value) > MAX_LENGTH:
        return f"has {len(value)} characters, at most {MAX_LENGTH} are allowed"
    found = _CONTROL.search(value)
    return f"contains the control character U+{ord(found[0]):04X}" if found else ""


def _value(pipeline: str, variable: Variable, values: Mapping[str, str]) -> str:
    value = values.get(variable.name, variable.default)
    if value is None:
        about = f" ({variable.description})" if variable.description else ""
        raise UsageError(f"{pipeline} needs a value for variable {variable.name}{about}", hint=_hint(variable))
    if variable.choices and value not in variable.choices:
        raise UsageError(
            f"{pipeline}: variable {variable.name} cannot be {value!r}", hint=f"one of {listed(variable.choices, 20)}"
        )
    return value


def _hint(variable: Variable) -> str:
    example = "|".join(variable.choices) or "…"
    return f"git push -o pipeline.var.{variable.name}={example}"
