"""Looks up `${{ namespace.key }}` just before an action starts.

A value is put in as it is and never looked at again: what a commit message or an output of an action contains cannot refer
to anything. Scripts are not touched (a value inside a script would be code); they read their environment.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from agent.definition.references import EXECUTION_KEYS, OPENING, Reference, replace
from agent.model.execution import Execution
from agent.model.plan import ArtifactInput, ArtifactOutput, Group, PlannedAction, Rule, Run, Service

Scope = Mapping[str, Mapping[str, str]]  # values by namespace and key

# What an action says that may hold references; everything else are names and numbers.
FIELDS = ("work", "env", "inputs", "artifacts", "cache", "reports")
_LITERAL: dict[type, tuple[str, ...]] = {
    Run: ("script", "shell", "runner"),
    Service: ("name", "ready"),
    ArtifactInput: ("name",),
    ArtifactOutput: ("name",),
    Group: ("any_of",),  # who decides must not hang on a value that a start or a script gives
}
_LITERAL_OPTIONS = {"command": frozenset({"run", "shell", "runner"})}  # of a rule that is a script


class CommitFacts(NamedTuple):
    """What `source` says of the commit; branch or tag is empty."""

    author: str
    email: str
    message: str
    branch: str = ""
    tag: str = ""


class Resolved(NamedTuple):
    """An action with every reference looked up, and what became of each text that held one, by its place ("env.VERSION")."""

    action: PlannedAction
    texts: dict[str, str]


class ResolvedRule(NamedTuple):
    """A rule of a condition with every reference looked up."""

    rule: Rule
    texts: dict[str, str]


class Unresolved(NamedTuple):
    """References that nothing answers: each with its place, in words."""

    message: str


def scope(
    execution: Execution,
    facts: CommitFacts,
    variables: Mapping[str, str],
    outputs: Mapping[str, Mapping[str, str]],
    *,
    attempt: int = 1,
    url: str = "",
) -> Scope:
    """Everything that an action of an execution may refer to, but for its `matrix`, which the action itself carries.

    `variables` are those of the plan; `outputs` those of ended actions by namespace. No output can stand in for one of ours.
    """
    about = (execution.id, str(execution.number), str(attempt), execution.trigger.value, url)
    source = {"commit": execution.commit, "previous": execution.previous, **facts._asdict()}
    return {
        **outputs,
        "variables": variables,
        "execution": dict(zip(EXECUTION_KEYS, about, strict=True)),
        "source": source,
    }


def resolve(action: PlannedAction, values: Scope) -> Resolved | Unresolved:
    """Look up everything in an action."""
    lookup = _Lookup({**values, "matrix": action.matrix})
    fields = {name: lookup.value(getattr(action, name), "" if name == "work" else name) for name in FIELDS}
    return lookup.unresolved() or Resolved(msgspec.structs.replace(action, **fields), lookup.texts)


def resolve_rule(rule: Rule, values: Scope) -> ResolvedRule | Unresolved:
    """Look up everything in a rule of a condition but its script."""
    lookup = _Lookup(values)
    literal = _LITERAL_OPTIONS.get(rule.provider, frozenset())
    options = {key: option if key in literal else lookup.value(option, key) for key, option in rule.options.items()}
    return lookup.unresolved() or ResolvedRule(msgspec.structs.replace(rule, options=options), lookup.texts)


class _Lookup:
    """Walks through a value and keeps account of what it found and what it missed."""

    def __init__(self, values: Scope) -> None:
        self._values = values
        self._missed: list[str] = []
        self.texts: dict[str, str] = {}

    def value(self, value: object, place: str) -> object:
        """The same value with references looked up in every text that it holds; keys of mappings are names and stay."""
        if isinstance(value, str):
            return self.text(value, place)
        if isinstance(value, msgspec.Struct):
            return self._struct(value, place)
        if isinstance(value, Mapping):
            return {key: self.value(item, _join(place, str(key))) for key, item in value.items()}
        if isinstance(value, Sequence):
            return type(value)(self.value(item, f"{place}[{index}]") for index, item in enumerate(value))  # type: ignore[call-arg]
        return value

    def text(self, text: str, place: str) -> str:
        if OPENING not in text:
            return text
        found = replace(text, lambda reference: self._find(reference, place))
        if found != text:
            self.texts[place] = found
        return found

    def unresolved(self) -> Unresolved | None:
        return Unresolved("; ".join(self._missed)) if self._missed else None

    def _struct(self, value: msgspec.Struct, place: str) -> msgspec.Struct:
        literal = _LITERAL.get(type(value), ())
        names = [name for name in value.__struct_fields__ if name not in literal]
        return msgspec.structs.replace(value, **{name: self.value(getattr(value, name), _join(place, name)) for name in names})

    def _find(self, reference: Reference, place: str) -> str | None:
        keys = self._values.get(reference.namespace)
        if keys is not None and reference.key in keys:
            return keys[reference.key]
        name = f"{reference.namespace}.{reference.key}"
        why = (
            f"{reference.namespace} has only {', '.join(sorted(keys)) or 'nothing'}" if keys is not None else _unknown(reference)
        )
        self._missed.append(f"{place}: ${{{{ {name} }}}} has no value ({why})")
        return None


def _unknown(reference: Reference) -> str:
    return f"nothing that has ended left values under {reference.namespace}"


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
