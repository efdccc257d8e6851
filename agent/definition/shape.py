"""Nodes to models: every mistake becomes a diagnostic, and what is sound of the file is read all the same.

A value with a mistake is taken out and the rest is read again, so that the rules can judge what remains and a person
sees all mistakes at once. `Shape.lost` tells the rules which words were taken out: about those they say nothing.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from agent.definition.diagnostics import Diagnostic
from agent.definition.nodes import Items, Node, Scalar, Table, plain, table, walk
from agent.definition.references import OPENING
from agent.definition.suggest import did_you_mean
from agent.definition.values import found
from agent.definition.vocabulary import ELSEWHERE

_MAX_ROUNDS = 12
MAX_TOLD = 200  # mistakes of one kind of reading that are told; nobody reads more
_EMPTY_MAPPINGS = frozenset({"push", "approval"})  # `- push:` says something without saying more

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]
Problem = Mapping[str, Any]  # as pydantic tells it


class Shape(NamedTuple, Generic[Model]):
    """What was read: the model (None if nothing sensible is left), the nodes it was made of, and the words taken out."""

    model: Model | None
    root: Node
    lost: frozenset[str]
    diagnostics: tuple[Diagnostic, ...]


class Place(NamedTuple):
    """Where a path of keys and indexes leads as far as it can be followed; `key` is the last key of a mapping on the way."""

    path: Path
    node: Node
    key: Scalar | None


def locate(root: Node, loc: Sequence[str | int]) -> Place:
    """Follow a path; parts that the file does not have (names of types, missing keys) are passed over."""
    path: list[str | int] = []
    node: Node = root
    key: Scalar | None = None
    for part in loc:
        if isinstance(node, Table) and (inner := node.get(str(part))) is not None:
            key = node.key(str(part))
            node = inner
            path.append(str(part))
        elif isinstance(node, Items) and (index := _index(node, part)) is not None:
            node, key = node.items[index], None
            path.append(index)
    return Place(tuple(path), node, key)


def read_model(model: type[Model], root: Node) -> Shape[Model]:
    """Read nodes into a model. Where too much is wrong nothing is left, and the first mistakes are told."""
    cleaned, diagnostics = _without_nothing(root)
    told = {diagnostic.message for diagnostic in diagnostics}
    lost: set[str] = set()
    for round_ in range(_MAX_ROUNDS):
        result, problems = _validate(model, cleaned)
        if result is not None:
            return Shape(result, cleaned, frozenset(lost), tuple(diagnostics))
        if round_ == 0 or not diagnostics:
            diagnostics += [_explain(model, cleaned, one) for one in problems[:MAX_TOLD] if not _is_told(one, told)]
        paths = {locate(cleaned, _victim(problem)).path for problem in problems[:MAX_TOLD]}
        if () in paths or len(problems) > MAX_TOLD:
            break
        lost.update(_lost(model, cleaned, paths, problems))
        cleaned = prune(cleaned, paths)
    return Shape(None, cleaned, frozenset(lost), tuple(diagnostics))


def check_options(model: type[BaseModel], root: Node) -> tuple[Diagnostic, ...]:
    """What is wrong with a mapping in which `${{ }}` is looked up later: a text that holds one is not judged before."""
    _, problems = _validate(model, root)
    return tuple(_explain(model, root, one) for one in problems[:MAX_TOLD] if not _awaits_lookup(root, one))


def complaints(model: type[Model], options: Mapping[str, object]) -> tuple[Model | None, tuple[str, ...]]:
    """Read a mapping in which everything is looked up: the model, or in words what is wrong."""
    try:
        return model.model_validate(options), ()
    except ValidationError as error:
        return None, tuple(_in_words(problem) for problem in error.errors(include_url=False))


def _in_words(problem: Problem) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{where}'"
    if problem["type"] == "missing":
        return f"'{where}' is missing"
    _, message, hint = wording(problem)
    return f"{where}: {message}" + (f" ({hint})" if hint else "")


def _awaits_lookup(root: Node, problem: Problem) -> bool:
    if problem["type"] in {"missing", "extra_forbidden"}:
        return False
    return any(OPENING in scalar.text for scalar in walk(locate(root, problem["loc"]).node))


def _validate(model: type[Model], root: Node) -> tuple[Model | None, list[Problem]]:
    try:
        return model.model_validate(plain(root)), []
    except ValidationError as error:
        return None, [problem for problem in error.errors(include_url=False) if not _follows(problem)]


def _lost(model: type[BaseModel], root: Node, paths: Iterable[Path], problems: Iterable[Problem]) -> Iterator[str]:
    """The words of what is taken out."""
    for path in paths:
        yield from (scalar.text for scalar in walk(locate(root, path).node))
        yield from (str(part) for part in path[-1:])
    for problem in problems:
        if problem["type"] == "extra_forbidden":
            yield unknown_in(_section(model, problem["loc"][:-1]))


def prune(node: Node, paths: Iterable[Path]) -> Node:
    """The nodes without those at the given paths."""
    here: dict[str | int, list[Path]] = {}
    for path in paths:
        here.setdefault(path[0], []).append(path[1:])
    if isinstance(node, Table):
        entries = ((key, value, here.get(key.text)) for key, value in node.entries)
        kept = ((key, prune(value, at) if at else value) for key, value, at in entries if () not in (at or ()))
        return table(kept, node.span)
    if isinstance(node, Items):
        items = ((item, here.get(index)) for index, item in enumerate(node.items))
        return Items(tuple(prune(item, at) if at else item for item, at in items if () not in (at or ())), node.span)
    return node


def unknown_in(section: type[BaseModel]) -> str:
    """The word in `Shape.lost` for a section in which some key was not known: it may have meant anything."""
    return f"{section.__name__} with unknown keys"


def _index(items: Items, part: str | int) -> int | None:
    if isinstance(part, int):
        return part if 0 <= part < len(items.items) else None
    texts = [item.text if isinstance(item, Scalar) else None for item in items.items]
    return texts.index(part) if part in texts else None


def _without_nothing(root: Node) -> tuple[Node, list[Diagnostic]]:
    """Take out keys without a value, which is never what somebody meant."""
    diagnostics: list[Diagnostic] = []

    def clean(node: Node) -> Node:
        if isinstance(node, Table):
            return table((entry for key, value in node.entries for entry in clean_entry(key, value)), node.span)
        if isinstance(node, Items):
            return Items(tuple(kept for item in node.items for kept in clean_item(item)), node.span)
        return node

    def clean_entry(key: Scalar, value: Node) -> Iterator[tuple[Scalar, Node]]:
        if not (isinstance(value, Scalar) and value.is_nothing):
            yield key, clean(value)
        elif key.text in _EMPTY_MAPPINGS:
            yield key, Table({}, value.span)
        else:
            hint = 'indent what belongs to it, or remove the key; an empty text is written ""'
            diagnostics.append(Diagnostic("GP102", key.span, _no_value(key.text), hint, key.width))

    def clean_item(item: Node) -> Iterator[Node]:
        if isinstance(item, Scalar) and item.is_nothing:
            diagnostics.append(Diagnostic("GP102", item.span, "an item of the list has no value"))
        else:
            yield clean(item)

    return clean(root), diagnostics


def _follows(problem: Problem) -> bool:
    """Whether a complaint only follows from another: a list whose broken items were not counted is too short."""
    return problem["type"] == "too_short" and len(problem["input"]) > 0


def _is_told(problem: Problem, told: Container[str]) -> bool:
    """Whether a missing key is one that was there without a value."""
    return problem["type"] == "missing" and _no_value(str(problem["loc"][-1])) in told


def _no_value(key: str) -> str:
    return f"'{key}' has no value"


def _victim(problem: Problem) -> Sequence[str | int]:
    """What to take out so that this problem is gone: the value, or for a missing key what misses it."""
    loc: tuple[str | int, ...] = problem["loc"]
    return loc[:-1] if problem["type"] == "missing" or loc[-1:] == ("[key]",) else loc


def _explain(model: type[BaseModel], root: Node, problem: Problem) -> Diagnostic:
    loc: tuple[str | int, ...] = problem["loc"]
    place = locate(root, loc)
    if problem["type"] == "extra_forbidden":
        return _unknown_key(model, place, loc)
    if problem["type"] == "missing":
        message = f"{_noun(model, loc[:-1])} needs '{loc[-1]}'"
        return Diagnostic("GP102", place.node.span, message, _purpose(model, loc), _width(place.node))
    node: Node = place.key if loc[-1:] == ("[key]",) and place.key else place.node
    if isinstance(node, Scalar) and OPENING in node.text:
        message = "nothing is looked up here: this is fixed when the push is accepted"
        return Diagnostic("GP308", node.span, message, "write the value itself", node.width)
    code, message, hint = wording(problem)
    name = next((part for part in reversed(loc) if isinstance(part, str) and part in place.path), "")
    prefix = f"{name}: " if name and loc[-1:] != ("[key]",) else ""
    return Diagnostic(code, node.span, prefix + message, hint, _width(node))


def wording(problem: Problem) -> tuple[str, str, str]:
    """Code, message and hint for a complaint about a value."""
    context, value = problem.get("ctx", {}), problem["input"]
    match problem["type"]:
        case "diagnostic":
            return context["code"], context["text"], context["hint"]
        case "tuple_type" | "list_type":
            hint = "begin each item with '- '" if isinstance(value, dict) else ""
            return "GP103", f"expected a list, found {found(value)}", hint
        case "dict_type" | "model_type" | "model_attributes_type":
            return "GP103", f"expected a mapping, found {found(value)}", "write 'key: value' lines, indented"
        case "literal_error":
            choices = [choice.strip(" '") for choice in context["expected"].replace(" or ", ", ").split(", ")]
            choices = [choice for choice in choices if choice]
            return "GP104", f"{found(value)} is none of {', '.join(choices)}", _near(str(value), choices)
        case "too_short":
            return "GP102", "at least one is needed", ""
        case "greater_than_equal":
            return "GP106", f"must be at least {context['ge']}, found {found(value)}", ""
        case "greater_than":
            return "GP106", f"must be more than {context['gt']}, found {found(value)}", ""
        case "less_than_equal":
            return "GP106", f"must be at most {context['le']}, found {found(value)}", ""
        case _:
            return "GP103", str(problem["msg"]), ""


def _near(value: str, choices: Sequence[str]) -> str:
    hint = did_you_mean(value, choices)
    return hint if hint.startswith("did") else ""


def _unknown_key(model: type[BaseModel], place: Place, loc: Sequence[str | int]) -> Diagnostic:
    section = _section(model, loc[:-1])
    name = str(loc[-1])
    known = [field.alias or key for key, field in section.model_fields.items() if (section.__name__, key) != ("Pipeline", "name")]
    hint = ELSEWHERE.get((section.__name__, name)) or did_you_mean(name, known, "it has")
    node = place.key or place.node
    return Diagnostic("GP101", node.span, f"{_noun(model, loc[:-1])} has no key '{name}'", hint, _width(node))


def _purpose(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    section = _section(model, loc[:-1])
    field = next((field for key, field in section.model_fields.items() if (field.alias or key) == loc[-1]), None)
    purpose = (field.description or "") if field else ""
    return (purpose[:1].lower() + purpose[1:]).rstrip(".")


def _noun(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    name = _section(model, loc).__name__
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    if words.endswith("s"):
        return f"'{words}'"  # conditions, resources, …
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _section(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel]:
    """The model that reads the mapping at a path."""
    current: object = model
    section = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = next((field for key, field in current.model_fields.items() if (field.alias or key) == part), None)
            current = _inner(field.annotation) if field else current
        if isinstance(current, type) and issubclass(current, BaseModel):
            section = current
    return section


def _inner(annotation: object) -> object:
    """The model inside of optional, annotated, tuple and dict types."""
    if get_origin(annotation) in {Annotated, Union, UnionType, tuple}:
        return _inner(get_args(annotation)[0])
    return _inner(get_args(annotation)[1]) if get_origin(annotation) is dict else annotation


def _width(node: Node) -> int:
    return node.width if isinstance(node, Scalar) else 1
