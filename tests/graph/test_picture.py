"""What a drawing shows: layers, levels, what actions do, the critical path of a run."""

from datetime import timedelta

import pytest

from agent.graph.picture import picture
from tests.support.pipelines import action, pipeline, stage


def drawn(*stages, durations=None):
    return {found.name: found for found in picture(pipeline(*stages), durations).stages}


def test_layers_and_levels():
    found = drawn(
        stage("a", action("x"), action("y", needs=["x"]), action("z", needs=["x", "y"])),
        stage("b", action("x")),
        stage("c", action("x"), needs=["a"]),
        stage("d", action("x"), needs=["b", "c"]),
    )
    assert {name: one.layer for name, one in found.items()} == {"a": 0, "b": 1, "c": 1, "d": 2}
    assert [one.level for one in found["a"].actions] == [0, 1, 2]


def test_levels_do_not_hang_on_the_order_of_the_file():
    found = drawn(stage("a", action("late", needs=["early"]), action("early")))
    assert [(one.name, one.level) for one in found["a"].actions] == [("late", 1), ("early", 0)]


@pytest.mark.parametrize(
    ("keys", "does"),
    [
        ({"image": "alpine"}, "run alpine"),
        ({"hosts": "web"}, "run on web"),
        ({"runner": "local"}, "run local"),
        ({}, "run"),
        ({"approval": {"by": ["qa", "ops"]}}, "approval by qa, ops"),
        ({"approval": {"groups": [{"by": ["qa"]}, {"by": ["ops"]}]}}, "approval by qa, ops"),
        ({"approval": {}}, "approval"),
        ({"deploy": {"to": "web"}}, "deploy to web, rolling"),
        ({"uses": "ecs"}, "uses ecs"),
    ],
)
def test_what_an_action_does(keys, does):
    assert drawn(stage("s", action("a", **keys)))["s"].actions[0].does == does


def test_an_image_from_the_defaults_is_shown():
    found = picture(pipeline(stage("s", action("a")), defaults={"image": "base"}))
    assert found.stages[0].actions[0].does == "run base"


def test_a_stage_tells_what_is_special():
    gate = {"window": {"cron": "* * * * *"}}
    found = drawn(stage("s", action("a"), lock="prod", conditions={"before_entry": gate}, on_failure={"rollback": "true"}))
    assert found["s"].notes == ("lock prod", "conditions before_entry", "rollback on failure")


def test_durations_mark_the_critical_path():
    seconds = {("a", "x"): 1, ("a", "y"): 5, ("b", "x"): 2, ("gone", "x"): 99}
    found = drawn(
        stage("a", action("x"), action("y")),
        stage("b", action("x"), action("skipped")),
        durations={place: timedelta(seconds=length) for place, length in seconds.items()},
    )
    marked = {(name, one.name): one.is_critical for name, drawn_stage in found.items() for one in drawn_stage.actions}
    assert marked == {("a", "x"): False, ("a", "y"): True, ("b", "x"): True, ("b", "skipped"): False}
    assert found["b"].actions[1].duration is None
