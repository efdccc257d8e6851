"""The critical path: the longest way through what had to wait for what."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.graph import query
from agent.graph.build import Kind, Node, build
from tests.support.pipelines import action, pipeline, pipelines, stage

DIAMOND = pipeline(
    stage("build", action("a"), action("b"), action("c", needs=["a"])),
    stage("test", action("d")),
)


def seconds(**durations):
    stages = {name: "test" if name == "d" else "build" for name in durations}
    return {Node(stages[name], name): timedelta(seconds=length) for name, length in durations.items()}


def path(**durations):
    return "".join(node.action for node in query.critical_path(build(DIAMOND), seconds(**durations)))


def test_the_longest_way_wins():
    assert path(a=1, b=9, c=2, d=1) == "bd"
    assert path(a=5, b=9, c=5, d=1) == "acd"


def test_actions_that_did_not_run_are_not_on_it():
    assert path(a=5, b=9, c=5) == "ac"
    assert path() == ""


def test_a_tie_goes_to_what_stands_first():
    assert path(a=1, b=2, c=1, d=1) in {"acd", "bd"}
    assert path(a=1, b=2, c=1, d=1) == path(a=1, b=2, c=1, d=1)


@given(pipelines, st.data())
def test_no_way_is_longer(pipe, data):
    graph = build(pipe)
    actions = [node for node in query.order(graph) if node.kind is Kind.ACTION]
    durations = {node: timedelta(seconds=data.draw(st.integers(0, 5))) for node in actions}
    found = query.critical_path(graph, durations)
    length = sum((durations[node] for node in found), timedelta())
    assert all(later in query.downstream(graph, earlier) for earlier, later in pairwise(found))
    node = data.draw(st.sampled_from(actions))  # any way through: walk down from anywhere
    walked = durations[node]
    while following := sorted(query.downstream(graph, node)):
        node = data.draw(st.sampled_from(following))
        walked += durations[node]
    assert walked <= length
