"""What comes before what: cycles, ancestors, and the certainty that something has been done."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.definition.order import Order, cycle, stage_needs
from tests.support.pipelines import action, pipeline, pipelines, stage


def test_a_cycle_is_told_as_the_path_that_closes_it():
    assert cycle({"a": ["b"], "b": ["c"], "c": ["a"]}) == ("a", "b", "c", "a")
    assert cycle({"x": ["a"], "a": ["b"], "b": ["a"]}) == ("a", "b", "a")
    assert cycle({"a": ["a"]}) == ("a", "a")


def test_no_cycle():
    assert cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == ()
    assert cycle({"a": ["unknown"]}) == ()


def test_a_long_chain_is_no_matter():
    assert cycle({str(number): [str(number + 1)] for number in range(5000)}) == ()


graphs = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3))


@given(graphs)
def test_a_cycle_is_found_exactly_if_there_is_one(needs):
    path = cycle(needs)
    if path:
        assert path[0] == path[-1]
        assert all(after in needs[before] for before, after in pairwise(path))
    else:
        left = {name: {need for need in wanted if need in needs} for name, wanted in needs.items()}
        while free := [name for name, wanted in left.items() if not wanted]:
            left = {name: wanted - set(free) for name, wanted in left.items() if name not in free}
        assert not left


@given(pipelines)
def test_stages_before_are_the_closure_of_needs(pipeline):
    order, names = Order(pipeline), [stage.name for stage in pipeline.stages]
    for index, name in enumerate(names):
        direct = {names.index(need) for need in stage_needs(pipeline)[name]}
        assert order.stages_before(index) == direct.union(*(order.stages_before(need) for need in direct))


@given(pipelines)
def test_certainty_never_contradicts_time(pipeline):
    order = Order(pipeline)
    spots = [(at, index) for at, stage in enumerate(pipeline.stages) for index, _ in enumerate(stage.actions)]
    certain = {(one, other) for one in spots for other in spots if not order.doubt(one, *other)}
    assert not any((other, one) in certain for one, other in certain)
    assert all((one, third) in certain for one, other in certain for again, third in certain if other == again)


def doubt(*stages, producer, consumer):
    return Order(pipeline(*stages)).doubt(producer, *consumer)


def test_in_a_stage_needs_make_it_certain():
    stages = [stage("s", action("a"), action("b", needs=["a"]), action("c", needs=["b"]), action("d"))]
    assert doubt(*stages, producer=(0, 0), consumer=(0, 2)) == ""
    assert "runs beside" in doubt(*stages, producer=(0, 0), consumer=(0, 3))


def test_a_chain_over_an_action_that_runs_always_is_not_certain():
    stages = [stage("s", action("a"), action("b", needs=["a"], when="always"), action("c", needs=["b"]))]
    assert doubt(*stages, producer=(0, 0), consumer=(0, 2))
    assert doubt(*stages, producer=(0, 1), consumer=(0, 2)) == ""


def test_a_chain_over_an_action_that_may_fail_is_certain():
    stages = [stage("s", action("a"), action("b", needs=["a"], continue_on_error=True), action("c", needs=["b"]))]
    assert doubt(*stages, producer=(0, 0), consumer=(0, 2)) == ""
    assert "may fail" in doubt(*stages, producer=(0, 1), consumer=(0, 2))


def test_the_end_of_a_stage():
    order = Order(pipeline(stage("s", action("a"), action("b", continue_on_error=True))))
    assert order.doubt((0, 0), 0, None, after_actions=True) == ""
    assert order.doubt((0, 1), 0, None, after_actions=True) != ""
    assert order.doubt((0, 0), 0, None) != ""
