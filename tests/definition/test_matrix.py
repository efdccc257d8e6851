"""Matrices: GitHub's rules for include and exclude (the examples are of its documentation), names of legs."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.definition.document import Action, Matrix
from agent.definition.matrix import MAX_LEGS, combinations, expand, leg_name


def legs(**matrix):
    return combinations(Matrix.model_validate({"axes": matrix.pop("axes", {}), **matrix}))


def test_the_product_in_the_order_of_the_file():
    assert legs(axes={"a": ["1", "2"], "b": ["x", "y"]}) == (
        {"a": "1", "b": "x"},
        {"a": "1", "b": "y"},
        {"a": "2", "b": "x"},
        {"a": "2", "b": "y"},
    )


def test_exclude_needs_all_its_keys():
    axes = {"os": ["linux", "mac"], "node": ["10", "12"]}
    assert legs(axes=axes, exclude=[{"os": "mac", "node": "10"}]) == (
        {"os": "linux", "node": "10"},
        {"os": "linux", "node": "12"},
        {"os": "mac", "node": "12"},
    )
    assert len(legs(axes=axes, exclude=[{"os": "mac"}])) == 2
    assert len(legs(axes=axes, exclude=[{"cpu": "arm"}])) == 4


def test_include_as_github_documents_it():
    assert legs(
        axes={"fruit": ["apple", "pear"], "animal": ["cat", "dog"]},
        include=[
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    ) == (
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    )


def test_include_alone():
    assert legs(include=[{"a": "1"}, {"a": "2", "b": "x"}]) == ({"a": "1"}, {"a": "2", "b": "x"})


def test_each_combination_once():
    assert legs(axes={"a": ["1", "1"]}) == ({"a": "1"},)


def test_names():
    assert leg_name("unit", {"python": "3.11", "os": "linux"}) == "unit (3.11, linux)"
    assert leg_name("unit", {}) == "unit"


def test_an_action_without_a_matrix_is_one_leg():
    assert [(leg.name, leg.values) for leg in expand(Action(name="a", run="x"))] == [("a", {})]


def test_axes_are_the_other_keys_of_the_mapping():
    action = Action.model_validate({"name": "a", "run": "x", "matrix": {"b": ["1"], "exclude": [], "include": [{"c": "2"}]}})
    assert [(leg.name, leg.values) for leg in expand(action)] == [("a (1, 2)", {"b": "1", "c": "2"})]


def test_what_is_too_large_is_never_expanded():
    huge = {f"k{index}": [str(value) for value in range(10)] for index in range(100)}
    assert expand(Action.model_validate({"name": "a", "run": "x", "matrix": huge})) == ()


values = st.lists(st.sampled_from("123"), min_size=1, max_size=3, unique=True)
axes = st.dictionaries(st.sampled_from("abc"), values, min_size=1)
entries = st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"), min_size=1), max_size=4)


@given(axes, entries, entries)
def test_laws(axes, include, exclude):
    found = legs(axes=axes, include=include, exclude=exclude)
    originals = legs(axes=axes, exclude=exclude)
    assert len({tuple(sorted(leg.items())) for leg in found}) <= len(found) <= prod(map(len, axes.values())) + len(include)
    for leg in originals:
        assert any(leg.items() <= one.items() for one in found)  # nothing that was left is lost or changed
        assert not any(entry.items() <= leg.items() for entry in exclude)
    for entry in include:
        assert any(entry.keys() <= one.keys() for one in found)


@pytest.mark.parametrize("count", [MAX_LEGS, MAX_LEGS + 1])
def test_the_limit(count):
    action = Action.model_validate({"name": "a", "run": "x", "matrix": {"a": [str(value) for value in range(count)]}})
    assert len(expand(action)) == (count if count <= MAX_LEGS else 0)
