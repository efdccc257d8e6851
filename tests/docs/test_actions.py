"""docs/actions.md is true: every provider stands in it with the keys that it has, and every example is judged as a push is."""

import pytest

from agent.definition.load import load
from agent.definition.source import MemoryTree
from tests.support.providers import MARK, PAGE, examples, names, written


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"line-{example.line}")
def test_every_example_loads(example):
    loaded = load(MemoryTree(example.files()))
    assert loaded.report == ""
    assert loaded.pipelines


def test_the_tables_are_those_of_the_models():
    assert written() == PAGE.read_text()


def test_every_provider_is_there_with_an_example():
    told = {(found[2], found[3]) for found in MARK.finditer(PAGE.read_text())} - {("provider", "common")}
    assert told == names() - {("rule", "lambda")}  # which takes what lambda-invoke takes
    text = "".join(example.text for example in examples())
    assert [name for _, name in names() if f"uses: {name}" not in text] == []
