"""The tree of an execution that goes on: times up to now, bars by the usual time, and what fits the screen."""

from datetime import timedelta

from agent.cli import tree
from agent.cli.console import Paint
from tests.support.stories import Story, action, plan, stage
from tests.support.tales import CASES

PLAIN = Paint(on=False)


def test_one_that_waits(golden):
    [story] = CASES["waiting"]()
    golden("tree/waiting.txt", "\n".join(tree.lines(story.record, story.now, None, PLAIN)) + "\n")


def running():
    told = Story(plan(stage("build", action("unit"), action("lint")), stage("deploy", action("web"))))
    return told.begin().enter("build").start("build", "unit", "lint").after(4).end("build", "lint").after(26)


def test_what_runs_has_a_bar():
    usual = {("build", "unit"): timedelta(minutes=1), ("build", "lint"): timedelta(minutes=1)}
    story = running()
    assert list(tree.lines(story.record, story.now, None, PLAIN, usual))[:3] == [
        "build    In progress   30s",
        "├─ unit  In progress   30s  █████░░░░░ 50% of 1m00s  since 2026-11-23 12:00 UTC",
        "└─ lint  Succeeded    4.0s",
    ]
    story.after(600)
    assert "██████████ 100%" in list(tree.lines(story.record, story.now, None, PLAIN, usual))[1]


def test_it_fits_the_screen():
    story = running()
    assert all(
        len(line) <= 40 for line in tree.lines(story.record, story.now, 40, PLAIN, {("build", "unit"): timedelta(minutes=1)})
    )


def test_colours_say_how_it_stands():
    story = running()
    lines = list(tree.lines(story.record, story.now, None, Paint(on=True)))
    assert "\x1b[36mIn progress\x1b[0m" in lines[1]
    assert "\x1b[32mSucceeded" in lines[2]
