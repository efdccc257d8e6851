"""The JSON Schema accepts what the loader accepts, and describes every key."""

import json

import jsonschema
import pytest
import yaml

from agent.definition.schema import models, schema
from tests.support import providers
from tests.support.definitions import cases

VALIDATOR = jsonschema.Draft202012Validator(schema())
PIPELINES = [case for case in cases("valid") if case.is_file()]


class EditorLoader(yaml.SafeLoader):
    """As editors read YAML: version 1.2, where dates are texts."""


EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def mistakes(text):
    return [error.message for error in VALIDATOR.iter_errors(yaml.load(text, Loader=EditorLoader))]


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize("case", PIPELINES, ids=lambda case: case.name)
def test_what_loads_is_accepted(case):
    assert mistakes(case.read_bytes()) == []


SOUND = "stages: [{name: a, actions: [{name: a, image: x, run: x%s}]}]"


@pytest.mark.parametrize(
    "text",
    [
        "stages: []",
        "jobs: {}",
        "name: x\n" + SOUND % "",
        "mode: serial\n" + SOUND % "",
        SOUND % ", imgae: x",
        SOUND % ", timeout: 5",
        SOUND % ", timeout: 5 minutes",
        SOUND % ", when: sometimes",
        SOUND % ", retries: 21",
        SOUND % ", continue_on_error: perhaps",
        SOUND % ", matrix: {a: []}",
        SOUND % ", services: {db: {}}",
        SOUND % ", resources: {memory: lots}",
        SOUND % ", env: [a]",
        "triggers: [{push: {branch: main}}]\n" + SOUND % "",
    ],
)
def test_what_an_editor_can_know_is_refused(text):
    assert mistakes(text)


def test_every_key_is_described():
    for model in models():
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert field.description.endswith(".")


def test_descriptions_reach_the_schema():
    definitions = schema()["$defs"]
    for key, written in definitions["Action"]["properties"].items():
        assert written["description"], key
    assert schema()["properties"]["stages"]["description"]


USES = "stages: [{name: a, actions: [{name: a, uses: %s}]}]"
RULE = "stages: [{name: a, conditions: {before_entry: {uses: %s}}, actions: [{name: a, image: x, run: x}]}]"


@pytest.mark.parametrize("example", providers.examples(), ids=lambda example: f"line-{example.line}")
def test_every_example_of_a_provider_is_accepted(example):
    for path, text in example.files().items():
        if path.startswith(".pipeline/") and "actions/" not in path:
            assert mistakes(text) == []


@pytest.mark.parametrize(
    "text",
    [
        USES % "s3, with: {bucket: '${{ variables.b }}', extract: '${{ variables.e }}'}",
        USES % "lambda, with: {function: f, alias: a, canary: '${{ variables.c }}', bake: 5m}",
        USES % "cloudformation, with: {stack: s, template: t, capabilities: CAPABILITY_IAM, parameters: {A: 1}}",
        USES % "image",
        USES % "a-plug-in, with: {anything: 1}",
    ],
)
def test_the_options_of_providers(text):
    assert mistakes(text) == []


@pytest.mark.parametrize(
    "text",
    [
        USES % "s3",
        USES % "s3, with: {buckt: b}",
        USES % "s3, with: {bucket: b, extract: perhaps}",
        USES % "cloudformation, with: {stack: s, mode: destroy}",
        USES % "http, with: {url: x, retries: 101}",
        USES % "image, with: {args: [a]}",
        RULE % "alarm",
        RULE % "lambda, with: {function: f, nothing: 1}",
    ],
)
def test_a_wrong_option_is_an_error(text):
    assert mistakes(text)
