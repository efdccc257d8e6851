"""What stands behind `uses`, and whether its `with` is right (GP706, GP808; each provider's own model says the rest)."""

from collections.abc import Iterator

from agent import plugins
from agent.definition.diagnostics import Diagnostic
from agent.definition.document import Action, Rule
from agent.definition.nodes import Table
from agent.definition.provided import provider
from agent.definition.reading import Loc, Reading
from agent.definition.rules.conditions import placed_rules
from agent.definition.shape import check_options, locate, unknown_in
from agent.definition.suggest import did_you_mean
from agent.errors import RefusedError


def actions(reading: Reading) -> Iterator[Diagnostic]:
    """GP808: an action `uses` a provider that there is, with options that it takes."""
    for placed in reading.actions:
        if placed.action.uses is not None and "uses" not in reading.lost:
            yield from _provider(reading, "actions", placed.action.uses, placed.loc, "GP808")


def rules(reading: Reading) -> Iterator[Diagnostic]:
    """GP706: a rule `uses` a provider that there is, with options that it takes."""
    for loc, rule in placed_rules(reading):
        if rule.uses is not None:
            yield from _provider(reading, "rules", rule.uses, loc, "GP706")


def _provider(reading: Reading, group: str, name: str, loc: Loc, code: str) -> Iterator[Diagnostic]:
    known = [each for each in plugins.BUILTIN[group] if each not in plugins.KINDS]
    if name not in known and (name in plugins.KINDS or not plugins.has(group, name)):
        hint = f"write `{name}:` in place of `uses`" if name in plugins.KINDS else did_you_mean(name, known)
        yield reading.at(code, (*loc, "uses"), f"there is no {group[:-1]} '{name}' to use", hint)
        return
    try:
        model = provider(group, name).Options
    except RefusedError as error:
        yield reading.at(code, (*loc, "uses"), error.message, error.hint)
        return
    given = locate(reading.root, (*loc, "with"))
    if given.path[-1:] == ("with",):
        yield from check_options(model, given.node)
    elif not reading.lost & {"with", unknown_in(Action), unknown_in(Rule)}:
        yield from check_options(model, Table({}, locate(reading.root, (*loc, "uses")).node.span))
