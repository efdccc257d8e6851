"""SVG: well formed, everything in its place, nothing over anything else."""

from datetime import timedelta
from itertools import combinations
from xml.etree import ElementTree

from hypothesis import given

from agent.graph.picture import picture
from agent.graph.svg import LETTER, svg
from tests.support.pipelines import action, pipeline, pipelines, stage

SVG = "{http://www.w3.org/2000/svg}"


def boxes(root, style):
    found = (item for item in root.iter(f"{SVG}rect") if item.get("class", "").split(" ")[0] == style)
    return [tuple(float(item.get(key)) for key in ("x", "y", "width", "height")) for item in found]


def overlap(one, other):
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


def inside(inner, outer):
    right, bottom = inner[0] + inner[2], inner[1] + inner[3]
    return (
        inner[0] >= outer[0]
        and inner[1] >= outer[1]
        and right <= outer[0] + outer[2] + 0.1
        and bottom <= outer[1] + outer[3] + 0.1
    )


@given(pipelines)
def test_boxes_lie_apart_and_actions_in_their_stages(pipe):
    found = picture(pipe)
    root = ElementTree.fromstring(svg(found))
    stages, actions = boxes(root, "s"), boxes(root, "a")
    assert len(stages) == len(found.stages)
    assert len(actions) == sum(len(one.actions) for one in found.stages)
    assert not any(overlap(*pair) for kind in (stages, actions) for pair in combinations(kind, 2))
    assert all(sum(inside(box, outer) for outer in stages) == 1 for box in actions)
    canvas = (0, 0, float(root.get("width")), float(root.get("height")))
    assert all(inside(box, canvas) for box in stages)


@given(pipelines)
def test_every_need_is_a_line_that_goes_to_the_right(pipe):
    found = picture(pipe)
    root = ElementTree.fromstring(svg(found))
    lines = [item.get("d") for item in root.iter(f"{SVG}path") if item.get("class") == "e"]
    assert len(lines) == sum(len(one.needs) + sum(len(act.needs) for act in one.actions) for one in found.stages)
    for line in lines:
        numbers = [float(word) for word in line.replace("M", " ").replace("C", " ").split()]
        assert numbers[0] < numbers[-2]


def test_labels_fit_their_boxes_and_hold_any_text():
    name = "unit (<&\"'> and a value that goes on and on)"
    pipe = pipeline(stage("s", action("unit", matrix={"v": [name[6:-1]]})))
    root = ElementTree.fromstring(svg(picture(pipe)))
    assert name in [item.text for item in root.iter(f"{SVG}text")]
    assert boxes(root, "a")[0][2] >= len(name) * LETTER


def test_control_characters_of_a_value_do_not_break_the_document():
    pipe = pipeline(stage("s", action("unit", matrix={"v": ["a\x1b[31m\x00b\n"]})))
    assert "unit (a [31m b )" in [item.text for item in ElementTree.fromstring(svg(picture(pipe))).iter(f"{SVG}text")]


def test_the_critical_path_is_marked_and_times_are_shown():
    pipe = pipeline(stage("s", action("a"), action("b")))
    took = {("s", "a"): timedelta(seconds=1), ("s", "b"): timedelta(seconds=2)}
    root = ElementTree.fromstring(svg(picture(pipe, took)))
    styles = [item.get("class") for item in root.iter(f"{SVG}rect") if item.get("class", "").startswith("a")]
    assert styles == ["a", "a c"]
    assert {"a · 1.0s", "b · 2.0s"} <= {item.text for item in root.iter(f"{SVG}text")}
