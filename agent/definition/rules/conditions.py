"""What is asked before and after a stage, and what follows (GP105, GP603, GP604, GP701 to GP705; codepipeline.md 2.4)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from agent.definition.clock import cron_problem, zone_exists
from agent.definition.diagnostics import Diagnostic
from agent.definition.document import Condition, Rule, Stage
from agent.definition.reading import Loc, Reading
from agent.definition.references import OPENING
from agent.definition.shape import unknown_in

PROVIDERS = ("variable", "window", "command", "uses")
RESULTS = {"before_entry": ("fail", "skip"), "on_success": ("fail", "rollback"), "on_failure": ("rollback", "fail")}
_MAX_PATTERN = 500


class _Gate(NamedTuple):
    name: str
    stage: Stage
    condition: Condition
    loc: Loc


def one_provider(reading: Reading) -> Iterator[Diagnostic]:
    """GP105: a rule is exactly one of variable, window, command, uses; a condition has one rule, or `rules`."""
    for gate in _gates(reading):
        inline = _providers(gate.condition)
        if gate.condition.rules and inline:
            message = f"`rules` lists the rules, and `{inline[0]}` is one more beside the list"
            yield reading.at("GP105", (*gate.loc, inline[0]), message, "move it into the list", on_key=True)
        for loc, rule in _rules(gate):
            yield from _one_provider(reading, loc, rule)


def _one_provider(reading: Reading, loc: Loc, rule: Rule) -> Iterator[Diagnostic]:
    named = _providers(rule)
    if len(named) > 1:
        message = f"a rule is one of {', '.join(PROVIDERS)}; this one is {' and '.join(named)}"
        hint = "list them: rules: [{variable: …}, {window: …}]"
        yield reading.at("GP105", (*loc, named[1]), message, hint, on_key=True)
    if not named and not reading.lost & {*PROVIDERS, "rules", unknown_in(Rule), unknown_in(Condition)}:
        hint = "give it `variable`, `window`, `command` or `uses`"
        yield reading.at("GP105", loc, "there is no rule to ask", hint, on_key=True)
    if "options" in rule.model_fields_set and named and "uses" not in named:
        yield reading.at("GP111", (*loc, "with"), f"'with' has no meaning for a rule with `{named[0]}`", on_key=True)


def results(reading: Reading) -> Iterator[Diagnostic]:
    """GP701: what a condition may do."""
    for gate in _gates(reading):
        if gate.condition.result and gate.condition.result not in RESULTS[gate.name]:
            message = f"the result of '{gate.name}' is {' or '.join(RESULTS[gate.name])}, not {gate.condition.result}"
            hint = "an automatic retry is on_failure: {retry: 1}" if gate.condition.result == "retry" else ""
            yield reading.at("GP701", (*gate.loc, "result"), message, hint)


def retry_and_condition(reading: Reading) -> Iterator[Diagnostic]:
    """GP702: on failure it is either the condition that decides, or what follows by itself."""
    for at, stage in enumerate(reading.pipeline.stages):
        follows = [key for key in ("retry", "rollback") if getattr(stage.on_failure, key)]
        if stage.conditions.on_failure and follows:
            message = f"a condition on failure cannot be combined with `on_failure: {{{follows[0]}: …}}`"
            hint = "keep the condition, or what follows by itself"
            yield reading.at("GP702", ("stages", at, "on_failure", follows[0]), message, hint, on_key=True)


def parallel_rollback(reading: Reading) -> Iterator[Diagnostic]:
    """GP703: in mode parallel nothing can be rolled back."""
    if reading.pipeline.mode != "parallel":
        return
    hint = "executions in mode parallel overtake each other, so none is the last; use queued or superseded"
    for at, stage in enumerate(reading.pipeline.stages):
        if stage.on_failure.rollback:
            loc: Loc = ("stages", at, "on_failure", "rollback")
            yield reading.at("GP703", loc, "there is no rollback in mode parallel", hint, on_key=True)
    for gate in _gates(reading):
        if (gate.condition.result or RESULTS[gate.name][0]) == "rollback":
            key = "result" if gate.condition.result else ""
            yield reading.at("GP703", (*gate.loc, key), "there is no rollback in mode parallel", hint, on_key=not key)


def skips(reading: Reading) -> Iterator[Diagnostic]:
    """GP704: a window is waited for, so it cannot skip."""
    for gate in _gates(reading):
        if gate.condition.result != "skip":
            continue
        for loc, rule in _rules(gate):
            if rule.window:
                message = "a window is waited for until it opens, so there is nothing to skip"
                yield reading.at("GP704", (*loc, "window"), message, "use `result: fail`, or a `variable` rule", on_key=True)


def variable_rules(reading: Reading) -> Iterator[Diagnostic]:
    """GP705: a variable rule looks at a variable, by a pattern that can be read."""
    for gate in _gates(reading):
        for loc, rule in _rules(gate):
            if not rule.variable:
                continue
            if OPENING not in rule.variable.variable:
                name = rule.variable.variable[:60]
                message = f"{name!r} is a text and not a variable, so the rule always says the same"
                yield reading.at("GP705", (*loc, "variable", "variable"), message, f'write "${{{{ variables.{name} }}}}"')
            if rule.variable.operator == "matches" and (wrong := _pattern_problem(rule.variable.value)):
                message = f"the value is not a regular expression: {wrong}"
                yield reading.at("GP705", (*loc, "variable", "value"), message)


def windows(reading: Reading) -> Iterator[Diagnostic]:
    """GP603 and GP604: cron expressions and time zones of windows."""
    for gate in _gates(reading):
        for loc, rule in _rules(gate):
            if not rule.window:
                continue
            if wrong := cron_problem(rule.window.cron):
                message = f"{rule.window.cron[:60]!r} is not a cron expression: {wrong}"
                hint = "minute hour day month weekday, such as `* 9-16 * * 1-5`"
                yield reading.at("GP603", (*loc, "window", "cron"), message, hint)
            if not zone_exists(rule.window.timezone):
                message = f"there is no time zone {rule.window.timezone[:60]!r}"
                hint = "names are those of IANA, such as Europe/Berlin or UTC"
                yield reading.at("GP604", (*loc, "window", "timezone"), message, hint)


def placed_rules(reading: Reading) -> Iterator[tuple[Loc, Rule]]:
    """All rules of all conditions, each with its place."""
    for gate in _gates(reading):
        yield from _rules(gate)


def _pattern_problem(pattern: str) -> str:
    if len(pattern) > _MAX_PATTERN:
        return f"it has more than {_MAX_PATTERN} characters"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""


def _gates(reading: Reading) -> Iterator[_Gate]:
    for at, stage in enumerate(reading.pipeline.stages):
        for name in RESULTS:
            condition: Condition | None = getattr(stage.conditions, name)
            if condition:
                yield _Gate(name, stage, condition, ("stages", at, "conditions", name))


def _rules(gate: _Gate) -> Iterator[tuple[Loc, Rule]]:
    if not gate.condition.rules:
        yield gate.loc, gate.condition
    for index, rule in enumerate(gate.condition.rules):
        yield (*gate.loc, "rules", index), rule


def _providers(rule: Rule) -> list[str]:
    return [provider for provider in PROVIDERS if getattr(rule, provider) is not None]
