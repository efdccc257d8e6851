"""Reusable actions put into the pipelines that use them: nodes in, nodes out.

An action with `use: .pipeline/actions/x.yaml` becomes the action of that file, with `${{ parameters.name }}` replaced by what
`with` gives or by the default. What else its user writes (needs, when, env, matrix, …) goes over the keys of the file; `env` is
merged. Every node keeps its place, so a mistake in the file of the action is told there.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agent.definition.diagnostics import Diagnostic
from agent.definition.document import Action, ReusableAction, Variable
from agent.definition.nodes import Items, Node, Scalar, Table, table, walk
from agent.definition.references import references, replace
from agent.definition.shape import MAX_TOLD
from agent.definition.suggest import did_you_mean

DIRECTORY = ".pipeline/actions"
KINDS = ("run", "buildspec", "approval", "deploy", "uses")
MAX_VALUE = 1000  # characters of a parameter, as of a variable
MAX_INSERTED = 4 * 1024**2  # characters that a pipeline may take from reusable actions; each value counts for some more
_COST_OF_NODE = 40
_NOT_IN_FILE = ("name", "needs", "use", "when")


class Reusable(NamedTuple):
    """A file of `.pipeline/actions/`; `model` is None where it is broken, which has been told already."""

    path: str
    model: ReusableAction | None
    action: Table
    lost: frozenset[str] = frozenset()  # words of its broken parts


class Expanded(NamedTuple):
    """The nodes with every `use` replaced, the names of actions that nothing can be told of, and what is wrong."""

    root: Node
    lost: frozenset[str]
    diagnostics: tuple[Diagnostic, ...]


def check_file(reusable: Reusable) -> Iterable[Diagnostic]:
    """GP101, GP105 and GP904: what is wrong with the file of a reusable action, whoever uses it."""
    for key, _ in reusable.action.entries:
        if key.text in _NOT_IN_FILE:
            message = f"'{key.text}' is told by who uses the action"
            yield Diagnostic("GP904", key.span, message, "remove it here", key.width)
    known = [field.alias or name for name, field in Action.model_fields.items() if name not in _NOT_IN_FILE]
    for key, _ in reusable.action.entries:
        if key.text not in known and key.text not in _NOT_IN_FILE:
            yield Diagnostic("GP101", key.span, f"an action has no key '{key.text}'", did_you_mean(key.text, known), key.width)
    unknown = [key for key, _ in reusable.action.entries if key.text not in known]
    if reusable.model and not unknown and not any(reusable.action.get(kind) for kind in KINDS):
        yield Diagnostic("GP105", reusable.action.span, "the action says nothing to do", f"give it one of {', '.join(KINDS)}")


def check_parameters(reusable: Reusable) -> Iterable[Diagnostic]:
    """GP303: parameters that the file looks up and does not have."""
    declared = reusable.model.parameters if reusable.model else {}
    for scalar in walk(reusable.action):
        for reference in references(scalar.text):
            if reference.namespace == "parameters" and reference.key not in {*declared, *reusable.lost}:
                message = f"the reusable action has no parameter '{reference.key}'"
                yield Diagnostic("GP303", scalar.span, message, did_you_mean(reference.key, declared, "it has"), scalar.width)


def expand(root: Node, library: Mapping[str, Reusable]) -> Expanded:
    """Replace every `use` of a pipeline file."""
    expansion = _Expansion(library)
    return Expanded(change_actions(root, expansion.action), frozenset(expansion.lost), tuple(expansion.diagnostics))


def change_actions(root: Node, change: Callable[[Node], Node]) -> Node:
    """A pipeline file with each of its actions changed."""

    def stage(node: Node) -> Node:
        return _map_value(node, "actions", lambda actions: _map_items(actions, change))

    return _map_value(root, "stages", lambda stages: _map_items(stages, stage))


def unknown(action: Table, without: str, lost: set[str]) -> Table:
    """An action of which only its name is known: it does something, and nobody can tell what it leaves. Its name is `lost`."""
    name = action.get("name")
    lost |= {"use", "image"} | ({name.text} if isinstance(name, Scalar) else set())
    return table((entry for entry in action.entries if entry[0].text not in {without, "with"}), action.span)


class _Expansion:
    def __init__(self, library: Mapping[str, Reusable]) -> None:
        self._library = library
        self._left = MAX_INSERTED
        self.diagnostics: list[Diagnostic] = []
        self.lost: set[str] = set()

    def action(self, action: Node) -> Node:
        if not isinstance(action, Table):
            return action
        use = action.get("use")
        if not isinstance(use, Scalar) or use.is_nothing:
            return action
        reusable = self._library.get(use.text)
        if reusable is None:
            self._say("GP901", use, f"there is no {use.text[:120]}", self._where(use.text))
        if reusable is None or reusable.model is None:
            return unknown(action, "use", self.lost)
        if self._left <= 0:
            self._say("GP009", use, "reusable actions make this pipeline too large", "divide it into several pipelines")
            return unknown(action, "use", self.lost)
        self._own_kind(action)
        values = self._values(action, use, reusable.model, reusable.lost)
        inserted = _replaced(reusable.action, values)
        self._left -= sum(len(scalar.text) + _COST_OF_NODE for scalar in walk(inserted))
        return _over(inserted, action) if isinstance(inserted, Table) else action

    def _where(self, path: str) -> str:
        if self._library:
            return did_you_mean(path, sorted(self._library))
        return f"reusable actions are files {DIRECTORY}/<name>.yaml of the same commit"

    def _own_kind(self, action: Table) -> None:
        for kind in KINDS:
            if key := action.key(kind):
                self._say("GP105", key, f"`use` and `{kind}` cannot stand in one action", "make two actions of it")

    def _values(self, action: Table, use: Scalar, model: ReusableAction, lost: frozenset[str]) -> dict[str, str]:
        """The value of each parameter."""
        given: dict[str, Scalar] = {}
        options = action.get("with")
        if options is not None and not isinstance(options, Table):
            self._say("GP103", options, "with: expected a mapping of parameters to texts")
        for key, value in options.entries if isinstance(options, Table) else ():
            if key.text in lost or len(self.diagnostics) >= MAX_TOLD:
                continue
            if key.text not in model.parameters:
                hint = did_you_mean(key.text, model.parameters, "its parameters are") or "it has no parameters"
                self._say("GP902", key, f"{use.text} has no parameter '{key.text}'", hint)
            elif not isinstance(value, Scalar):
                self._say("GP103", value, f"{key.text}: a parameter is a text")
            else:
                given[key.text] = value
        return {name: self._value(name, parameter, given.get(name), use) for name, parameter in model.parameters.items()}

    def _value(self, name: str, parameter: Variable, given: Scalar | None, use: Scalar) -> str:
        if given is None:
            if parameter.default is None:
                hint = f"write with: {{{name}: …}}" + (f" - {parameter.description}" if parameter.description else "")
                self._say("GP903", use, f"{use.text} needs parameter '{name}'", hint)
            return parameter.default or ""
        if len(given.text) > MAX_VALUE:
            self._say("GP903", given, f"the value of parameter '{name}' has more than {MAX_VALUE:,} characters")
            return ""
        if parameter.choices and given.text not in parameter.choices:
            message = f"parameter '{name}' cannot be {given.text[:60]!r}"
            self._say("GP903", given, message, did_you_mean(given.text, parameter.choices, "it is one of"))
        return given.text

    def _say(self, code: str, node: Node, message: str, hint: str = "") -> None:
        width = node.width if isinstance(node, Scalar) else 1
        self.diagnostics.append(Diagnostic(code, node.span, message, hint, width))


def _over(action: Table, caller: Table) -> Table:
    """The keys of the caller over those of the file."""
    own = {key.text: (key, value) for key, value in caller.entries if key.text not in {"use", "with", *KINDS}}
    merged = {key.text: (key, _merged(key.text, value, own)) for key, value in action.entries if key.text not in _NOT_IN_FILE}
    return Table({**merged, **own}, caller.span)


def _merged(key: str, value: Node, own: dict[str, tuple[Scalar, Node]]) -> Node:
    """`env` is merged, and taken from the caller's keys, as it is dealt with."""
    over = own[key][1] if key == "env" and key in own else None
    if not isinstance(value, Table) or not isinstance(over, Table):
        return value
    del own[key]
    entries = {name.text: (name, text) for name, text in (*value.entries, *over.entries)}
    return Table(entries, value.span)


def _replaced(node: Node, values: Mapping[str, str]) -> Node:
    """The nodes with parameters replaced, but not in scripts: there a value could be read as a command."""
    if isinstance(node, Scalar):
        if "parameters" not in node.text:
            return node
        found = replace(node.text, lambda one: values.get(one.key, "") if one.namespace == "parameters" else None)
        return node if found == node.text else node._replace(text=found, plain=False)
    if isinstance(node, Items):
        return Items(tuple(_replaced(item, values) for item in node.items), node.span)
    entries = (
        (_replaced_key(key, values), value if key.text == "run" else _replaced(value, values)) for key, value in node.entries
    )
    return table(entries, node.span)


def _replaced_key(key: Scalar, values: Mapping[str, str]) -> Scalar:
    replaced = _replaced(key, values)
    return replaced if isinstance(replaced, Scalar) else key


def _map_value(node: Node, key: str, change: Callable[[Node], Node]) -> Node:
    if not isinstance(node, Table):
        return node
    return table(((name, change(value) if name.text == key else value) for name, value in node.entries), node.span)


def _map_items(node: Node, change: Callable[[Node], Node]) -> Node:
    return Items(tuple(change(item) for item in node.items), node.span) if isinstance(node, Items) else node
