"""The JSON Schema of pipeline files, made of the models, for editors (`# yaml-language-server: $schema=…`)."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from agent import plugins
from agent.definition.document import Pipeline
from agent.definition.provided import provider

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS = ({"type": "string"}, {"type": "number"}, {"type": "boolean"})

# What may stand in place of the full form, by the name of the model (the validators of `document.py` read it).
_SHORT_FORMS: dict[str, tuple[dict[str, Any], ...]] = {
    "Patterns": ({"type": "string"}, {"type": "array", "items": {"type": "string"}}),
    "ArtifactOutput": ({"type": "string"}, {"type": "array", "items": {"type": "string"}}),
    "Variable": _SCALARS,
    "Retries": ({"type": "integer", "minimum": 0, "maximum": 20},),
    "Push": ({"type": "null"},),
    "Approval": ({"type": "null"},),
    "BuildspecFile": ({"type": "string"}, {"const": True}),
}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_LATER: dict[str, Any] = {"type": "string", "pattern": r"\$\{\{"}
_NAMES: tuple[dict[str, Any], ...] = ({"type": "string"}, {"type": "array", "items": {"type": "string"}, "uniqueItems": True})


def schema() -> dict[str, Any]:
    """The JSON Schema of a pipeline file, with a description of every key."""
    made = Pipeline.model_json_schema(by_alias=True, schema_generator=_Generator)
    made["properties"].pop("name")  # the stem of the file
    made = _readable(made)
    definitions = made["$defs"]
    action = definitions["Action"]["properties"]
    action |= {key: _or(action[key], _NAMES) for key in ("inputs", "secrets")}
    action["cache"] = _or(action["cache"], ({"$ref": "#/$defs/Cache"},))
    definitions["Matrix"] = _matrix(definitions["Matrix"])
    for name, forms in _SHORT_FORMS.items():
        definitions[name] = {"description": definitions[name].get("description", ""), "anyOf": [definitions[name], *forms]}
    for group, word in (("actions", "Action"), ("rules", "Rule"), ("rules", "Condition")):
        definitions[word] = _with_options(definitions, definitions[word], group)
    return {"$schema": DIALECT, **made, "title": "A pipeline of git-pipeline"}


def _with_options(definitions: dict[str, Any], user: dict[str, Any], group: str) -> dict[str, Any]:
    """What may have `uses`, with the options of every provider of this group; their models become definitions."""
    names = [name for name in plugins.BUILTIN[group] if name not in plugins.KINDS]
    chosen = []
    for name in names:
        place, model = f"{group}.{name}", provider(group, name).Options
        made = _readable(model.model_json_schema(schema_generator=_Generator, ref_template=f"#/$defs/{place}.{{model}}"))
        inner = made.pop("$defs", {})
        definitions |= {f"{place}.{part}": _awaiting(node) for part, node in inner.items()} | {place: _awaiting(made)}
        then: dict[str, Any] = {"properties": {"with": {"$ref": f"#/$defs/{place}"}}}
        if made.get("required"):
            then["required"] = ["with"]
        chosen.append({"if": {"properties": {"uses": {"const": name}}, "required": ["uses"]}, "then": then})
    uses = _or(user["properties"]["uses"], ({"enum": names},))  # a plug-in may bring others
    return {**user, "properties": {**user["properties"], "uses": uses}, "allOf": chosen}


def _awaiting(node: dict[str, Any]) -> dict[str, Any]:
    """As it may be written: a `${{ }}` may stand for any value."""
    known: dict[str, Any] = dict(node)
    if "properties" in node:
        known["properties"] = {key: _or(_awaiting(value), (_LATER,)) for key, value in node["properties"].items()}
    for key in ("additionalProperties", "items"):
        if isinstance(node.get(key), dict):
            known[key] = _or(_awaiting(node[key]), (_LATER,))
    if "anyOf" in node:
        known["anyOf"] = [_awaiting(choice) for choice in node["anyOf"]]
    return known


class _Generator(GenerateJsonSchema):
    """Texts may be written without quotes, and a list of one text without the list."""

    def str_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401 - pydantic's own type is private
        written = super().str_schema(schema)
        return written if written != {"type": "string"} else {"type": ["string", "number", "boolean"]}

    def tuple_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401
        written = super().tuple_schema(schema)
        items = written.get("items", {})
        if items.get("type") == ["string", "number", "boolean"] or "enum" in items:
            return {"anyOf": [written, written["items"]]}
        return written


def _readable(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """Without titles made of names, defaults of null, and the choice of null (a key is there or not); bounds in its own words."""
    if isinstance(node, list):
        return [_readable(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _readable(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if kept.get("type") in ("integer", "number"):
        kept = {_BOUNDS.get(key, key): value for key, value in kept.items()}
    if kept.get("default", 0) is None:
        del kept["default"]
    if "minLength" in kept and "anyOf" in kept:  # of the list, not of the text
        least = kept.pop("minLength")
        kept["anyOf"] = [{**choice, "minItems": least} if choice.get("type") == "array" else choice for choice in kept["anyOf"]]
    choices = [choice for choice in kept.get("anyOf", ()) if choice != {"type": "null"}]
    if "anyOf" in kept and len(choices) == 1:
        del kept["anyOf"]
        return {**choices[0], **kept}
    return {**kept, "anyOf": choices} if "anyOf" in kept else kept


def _or(node: dict[str, Any], forms: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    described: dict[str, Any] = {key: node[key] for key in ("description", "default") if key in node}
    return {**described, "anyOf": [{key: value for key, value in node.items() if key not in described}, *forms]}


def _matrix(node: dict[str, Any]) -> dict[str, Any]:
    """The axes are the keys of the mapping itself."""
    axes = node["properties"].pop("axes")
    return {**node, "additionalProperties": axes["additionalProperties"]}


def models() -> tuple[type[BaseModel], ...]:
    """All models that a pipeline file is made of, the file itself first."""
    return models_of(Pipeline)


def models_of(whole: type[BaseModel]) -> tuple[type[BaseModel], ...]:
    """A model and all that it is made of."""
    found: dict[type[BaseModel], None] = {whole: None}
    ahead = [whole]
    for model in ahead:
        for field in model.model_fields.values():
            for inner in _models_in(field.annotation):
                if inner not in found:
                    found[inner] = None
                    ahead.append(inner)
    return tuple(found)


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for part in getattr(annotation, "__args__", ()) for inner in _models_in(part)]
