"""What a hook needs to know of a pipeline; it survives JSON, as the cache of verdicts keeps it so."""

import json

from agent.definition.entry import entry
from agent.model.trigger import Entry, Patterns, PushTrigger, ScheduleTrigger, Variable
from tests.support.definitions import read

STAGES = "stages: [{name: a, actions: [{name: a, image: x, run: x}]}]\n"


def of(text):
    loaded = read(text + STAGES)
    assert loaded.report == ""
    return entry(loaded.pipelines[0])


def test_without_triggers_any_branch_starts_it():
    assert of("") == Entry("release", "superseded", (PushTrigger(Patterns()),), (), ())


def test_no_triggers_at_all():
    assert of("triggers: []\nmode: queued\n") == Entry("release", "queued", (), (), ())


def test_pushes():
    found = of(
        "triggers:\n- push:\n- push: {branches: main}\n- push: {tags: {exclude: ['*-rc']}}\n"
        "- push: {branches: [a, b], paths: {include: [x], exclude: y}}\n- push: {paths: [z]}\n"
    )
    assert found.pushes == (
        PushTrigger(Patterns()),
        PushTrigger(Patterns(("main",))),
        PushTrigger(None, Patterns((), ("*-rc",))),
        PushTrigger(Patterns(("a", "b")), None, Patterns(("x",), ("y",))),
        PushTrigger(Patterns(), None, Patterns(("z",))),
    )


def test_a_schedule_alone_is_started_by_no_push():
    found = of("triggers: [{schedule: {cron: '0 3 * * *'}}]\n")
    assert (found.pushes, found.schedules) == ((), (ScheduleTrigger("0 3 * * *", "UTC", "main"),))


def test_variables():
    found = of("variables: {a: x, b: {description: why, choices: [p, q]}, c: {default: ''}}\n")
    assert found.variables == (Variable("a", "x"), Variable("b", None, "why", ("p", "q")), Variable("c", ""))


def test_it_survives_json():
    found = of("triggers: [{push: {branches: [a]}}]\nvariables: {a: x}\n")
    assert json.loads(json.dumps(found)) == ["release", "superseded", [[[["a"], []], None, None]], [], [["a", "x", "", []]]]
