"""A part of a plan: what was chosen, what that needs, and without what reaches out."""

from agent.model.plan import Approval as Ask
from agent.model.plan import ArtifactInput, ArtifactOutput, Condition, Deploy, Group, OnFailure, Rule, Run, Use
from agent.plan.part import part
from tests.support.stories import action, plan, stage

WINDOW = Rule(provider="window", options={})
VARIABLE = Rule(provider="variable", options={})
WHOLE = plan(
    stage(
        "build",
        action("make", artifacts=(ArtifactOutput(name="dist", files=("dist/**",)),)),
        action("version", namespace="v"),
        action("lint"),
    ),
    stage("sign-off", action("qa", Ask(groups=(Group(any_of=("qa",)),))), needs=("build",)),
    stage(
        "production",
        action("web", Deploy(to="web"), inputs=(ArtifactInput(name="dist"),)),
        action("smoke", env={"V": "${{ v.number }}"}, needs=("web",)),
        action("cloud", Use(provider="s3")),
        action("fleet", Run(script="x", runner="ssh", hosts="fleet")),
        needs=("sign-off",),
        before_entry=Condition(rules=(WINDOW, VARIABLE)),
        on_failure=OnFailure(rollback=True),
    ),
)
EVERYTHING = {(one.name, each.name) for one in WHOLE.stages for each in one.actions}


def names(found):
    return {one.name: [each.name for each in one.actions] for one in found.plan.stages}


def test_what_people_decide_and_what_reaches_out_is_left():
    found = part(WHOLE, EVERYTHING, reaches_out=False)
    assert names(found) == {"build": ["make", "version", "lint"], "production": ["smoke"]}
    assert [(left.place, left.why) for left in found.left] == [
        ("sign-off/qa", "an approval"),
        ("production/web", "a deploy to web"),
        ("production/cloud", "an action of s3"),
        ("production/fleet", "a script on the hosts fleet"),
        ("production", "its window of time"),
    ]


def test_who_needed_what_is_left_needs_what_that_needed():
    production = part(WHOLE, EVERYTHING, reaches_out=False).plan.stages[1]
    assert production.needs == ("build",)
    assert production.actions[0].needs == ()


def test_conditions_stay_but_for_windows_and_nothing_is_rolled_back():
    production = part(WHOLE, EVERYTHING, reaches_out=False).plan.stages[1]
    assert production.before_entry == Condition(rules=(VARIABLE,))
    assert not production.on_failure.rollback


def test_deploys_where_they_are_asked_for():
    found = part(WHOLE, EVERYTHING, reaches_out=True)
    assert names(found)["production"] == ["web", "smoke", "cloud", "fleet"]
    assert found.plan.stages[1].actions[1].needs == ("web",)


def test_what_was_chosen_comes_with_what_makes_its_inputs_and_outputs():
    assert names(part(WHOLE, {("production", "web")}, reaches_out=True)) == {"build": ["make"], "production": ["web"]}
    assert names(part(WHOLE, {("production", "smoke")}, reaches_out=False)) == {"build": ["version"], "production": ["smoke"]}
