"""Graphs of pipelines: barriers, needs, legs, and the cycles that must not get through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import DefinitionError
from agent.graph import query
from agent.graph.build import Kind, Node, build
from tests.support.pipelines import action, pipeline, pipelines, stage


def test_stages_follow_each_other_by_default():
    graph = build(pipeline(stage("a", action("x")), stage("b", action("x")), stage("c", action("x"))))
    assert [query.stage_needs(graph, name) for name in "abc"] == [(), ("a",), ("b",)]


def test_stage_needs_make_a_dag():
    graph = build(
        pipeline(
            stage("a", action("x")),
            stage("b", action("x"), needs=[]),
            stage("c", action("x"), needs=["b", "a"]),
            stage("d", action("x")),
        )
    )
    assert [query.stage_needs(graph, name) for name in "abcd"] == [(), (), ("a", "b"), ("c",)]


def test_a_stage_may_need_one_that_stands_below_it():
    graph = build(pipeline(stage("late", action("x"), needs=["early"]), stage("early", action("x"), needs=[])))
    assert query.stages(graph) == ("early", "late")


def test_needs_on_a_matrix_action_are_all_its_legs():
    legs = action("unit", matrix={"python": ["3.11", "3.12"]})
    graph = build(pipeline(stage("test", legs, action("report", needs=["unit"]))))
    assert query.needs(graph, Node("test", "report")) == (Node("test", "unit (3.11)"), Node("test", "unit (3.12)"))


def test_every_leg_needs_what_the_action_needs():
    graph = build(pipeline(stage("test", action("make"), action("unit", matrix={"n": ["1", "2"]}, needs=["make"]))))
    assert query.downstream(graph, Node("test", "make")) == {Node("test", "unit (1)"), Node("test", "unit (2)")}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (pipeline(stage("a", action("x"), needs=["b"]), stage("b", action("x"))), "stages need each other: a -> b -> a"),
        (pipeline(stage("a", action("x"), needs=["a"])), "stages need each other: a -> a"),
        (
            pipeline(stage("s", action("x", needs=["z"]), action("y", needs=["x"]), action("z", needs=["y"]))),
            "actions of stage s need each other: x -> z -> y -> x",
        ),
        (pipeline(stage("a", action("x"), needs=["b"])), "stage a needs b, which does not exist"),
        (pipeline(stage("a", action("x", needs=["y"]))), "action x of stage a needs y, which does not exist"),
    ],
)
def test_what_can_never_run_is_refused(broken, said):
    with pytest.raises(DefinitionError) as refused:
        build(broken)
    assert refused.value.message == said


def needed(pipe):
    """For each action the actions that must have ended before it, from the document alone."""
    before, result, done = {}, {}, None
    for written in pipe.stages:
        before[written.name] = (() if done is None else (done,)) if written.needs is None else written.needs
        done = written.name
    inside = {written.name: {one.name for one in written.actions} for written in pipe.stages}
    for written in pipe.stages:
        for one in written.actions:
            own = {(written.name, need) for need in one.needs}
            result[written.name, one.name] = own | {(early, name) for early in before[written.name] for name in inside[early]}
    return result


@given(pipelines)
def test_an_action_never_comes_before_what_it_needs(pipe):
    places = {(node.stage, node.action): index for index, node in enumerate(query.order(build(pipe)))}
    for later, earlier in needed(pipe).items():
        assert all(places[one] < places[later] for one in earlier)


@given(pipelines, st.data())
def test_everything_that_can_run_is_ready_and_nothing_else(pipe, data):
    """Ends actions in any order that the graph allows, until all have ended."""
    graph, requirements, ended = build(pipe), needed(pipe), frozenset()
    while True:
        ready = query.ready(graph, ended)
        done = {(node.stage, node.action) for node in ended}
        assert {(node.stage, node.action) for node in ready} == {
            name for name, early in requirements.items() if early <= done
        } - done
        if not ready:
            break
        ended |= {data.draw(st.sampled_from(ready))}
    assert len(ended) == len(requirements)


@given(pipelines)
def test_the_order_is_that_of_the_file_where_it_may(pipe):
    """Two graphs of one file are drawn and planned alike."""
    assert query.order(build(pipe)) == query.order(build(pipe))
    assert {node.kind for node in query.order(build(pipe))} == set(Kind)
