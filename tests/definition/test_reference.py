"""docs/language.md is true: every key stands in it as the models say, and every example is a pipeline that loads."""

import pytest

from agent.definition.buildspec.document import Buildspec
from agent.definition.codes import CODES
from agent.definition.document import ReusableAction
from agent.definition.load import load
from agent.definition.nodes import Node, Table, read
from agent.definition.references import EXECUTION_KEYS, SOURCE_KEYS
from agent.definition.schema import models, models_of
from agent.definition.source import MemoryTree
from tests.support.reference import MARK, PAGE, examples, keys, written

EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line-{example.line}")
def test_every_example_loads(example):
    loaded = load(MemoryTree(example.files()))
    assert loaded.report == ""
    assert loaded.pipelines


def test_the_tables_are_those_of_the_models():
    assert written() == PAGE.read_text()
    assert {found[3] for found in MARK.finditer(PAGE.read_text())} == {
        model.__name__ for model in (*models(), ReusableAction)
    } | {"all"}


def written_keys(node: Node) -> set[str]:
    return {key.text for inner in tables(node) for key, _ in inner.entries}


def tables(node: Node) -> list[Table]:
    if isinstance(node, Table):
        return [node, *(table for _, value in node.entries for table in tables(value))]
    return [table for item in getattr(node, "items", ()) for table in tables(item)]


def test_every_key_has_an_example():
    shown = set().union(*(written_keys(read("x", text.decode())[0]) for example in EXAMPLES for text in example.files().values()))
    assert {key for model in (*models(), ReusableAction) for key in keys(model)} - shown == set()


def test_every_key_of_a_buildspec_is_named():
    assert [key for model in models_of(Buildspec) for key in keys(model) if f"`{key}`" not in PAGE.read_text()] == []


def test_every_value_that_can_be_looked_up_is_named():
    text = PAGE.read_text()
    assert [key for key in EXECUTION_KEYS if f"`execution.{key}`" not in text] == []
    assert [key for key in SOURCE_KEYS if f"`source.{key}`" not in text] == []


def test_every_code_is_named():
    assert [code for code in CODES if f"| {code} |" not in PAGE.read_text()] == []
