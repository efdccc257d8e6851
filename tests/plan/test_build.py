"""Plans: defaults, levels, legs, conditions, order."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given

from agent.model import plan as model
from agent.plan.build import build
from tests.support.pipelines import action, pipeline, pipelines, stage


def planned(written, **keys):
    """The plan of one action."""
    return build(pipeline(stage("s", written), **keys), {}).stages[0].actions[0]


def test_the_action_wins_over_the_defaults_and_those_over_ours():
    defaults = {"image": "base", "timeout": "30m", "shell": "bash", "network": "true", "user": "1000", "retries": "2"}
    inherits = planned(action("a"), defaults=defaults)
    assert inherits.work == model.Run(script="true", image="base", shell="bash", network=True, user="1000")
    assert (inherits.timeout, inherits.retries.count) == (timedelta(minutes=30), 2)
    own = planned(action("a", image="own", timeout="1m", shell="sh", network="false", user="0", retries="0"), defaults=defaults)
    assert own.work == model.Run(script="true", image="own", shell="sh", network=False, user="0")
    assert (own.timeout, own.retries.count) == (timedelta(minutes=1), 0)
    assert planned(action("a")).timeout == timedelta(hours=1)


def test_resources_are_inherited_one_by_one():
    work = planned(action("a", resources={"memory": "1g"}), defaults={"resources": {"memory": "2g", "cpus": "1.5"}}).work
    assert work.resources == model.Resources(memory=1024**3, cpus=1.5)


@pytest.mark.parametrize(
    ("keys", "defaults", "runner", "image"),
    [
        ({}, {"image": "base"}, "docker", "base"),
        ({"hosts": "web"}, {"image": "base", "runner": "local"}, "ssh", ""),
        ({"runner": "local"}, {"image": "base"}, "local", ""),
        ({"runner": "docker"}, {"image": "base", "runner": "local"}, "docker", "base"),
        ({}, {"image": "base", "runner": "local"}, "local", ""),
        ({"runner": "firecracker"}, {"image": "base"}, "firecracker", "base"),
    ],
)
def test_where_a_script_runs(keys, defaults, runner, image):
    work = planned(action("a", **keys), defaults=defaults).work
    assert (work.runner, work.image) == (runner, image)


def test_the_environment_has_three_levels():
    plan = build(
        pipeline(
            stage("s", action("a", env={"C": "action"}), env={"B": "stage", "C": "stage"}), env=dict.fromkeys("ABC", "pipeline")
        ),
        {},
    )
    assert plan.stages[0].actions[0].env == {"A": "pipeline", "B": "stage", "C": "action"}


def test_values_of_the_start_win_over_defaults():
    plan = build(pipeline(stage("s", action("a")), variables={"x": "1", "y": "2", "z": {}}), {"y": "3"}, "tree")
    assert plan.variables == {"x": "1", "y": "3"}
    assert plan.definition == "tree"


def test_legs_carry_their_values_and_everything_else():
    unit = action("unit", matrix={"python": ["3.10", "3.12"]}, image="python:${{ matrix.python }}", outputs=["cov"])
    plan = build(pipeline(stage("s", unit, action("report", needs=["unit"]))), {})
    first, second, report = plan.stages[0].actions
    assert [first.name, second.name, report.needs] == ["unit (3.10)", "unit (3.12)", ("unit (3.10)", "unit (3.12)")]
    assert [first.matrix, second.matrix, report.matrix] == [{"python": "3.10"}, {"python": "3.12"}, {}]
    assert first.work.image == "python:${{ matrix.python }}"
    assert first.namespace == second.namespace == "unit"


def test_an_action_without_values_has_no_namespace():
    assert planned(action("a")).namespace == ""
    assert planned(action("a", outputs=["x"], namespace="n")).namespace == "n"
    assert planned(action("a", uses="ecs")).namespace == "a"


def test_names_of_artifacts_carry_the_values_of_the_leg():
    legs = action(
        "a",
        matrix={"os": ["linux"]},
        artifacts={"dist-${{ matrix.os }}": ["x"]},
        inputs={"in-${{ matrix.os }}": "${{ matrix.os }}"},
    )
    plan = planned(legs)
    assert [one.name for one in plan.artifacts] == ["dist-linux"]
    assert plan.inputs == (model.ArtifactInput(name="in-linux", path="${{ matrix.os }}"),)


def test_approvals_have_their_own_timeout_and_no_retries():
    plan = planned(action("qa", approval={"by": ["lead"], "count": "2"}), defaults={"timeout": "1m", "retries": "3"})
    assert plan.work == model.Approval(groups=(model.Group(any_of=("lead",), count=2),))
    assert (plan.timeout, plan.retries.count) == (timedelta(days=7), 0)
    assert planned(action("qa", approval={"timeout": "1h"})).timeout == timedelta(hours=1)


@pytest.mark.parametrize(
    ("approval", "groups"),
    [
        ({}, ()),
        ({"count": "2"}, (model.Group(any_of=("operator",), count=2),)),
        (
            {"groups": [{"by": ["a"]}, {"by": ["b", "c"], "count": "2"}]},
            (model.Group(any_of=("a",)), model.Group(any_of=("b", "c"), count=2)),
        ),
    ],
)
def test_who_approves(approval, groups):
    assert planned(action("qa", approval=approval)).work.groups == groups


def test_deploys_keep_the_options_of_their_strategy():
    work = planned(
        action("web", deploy={"to": "web", "strategy": "canary", "health": {"url": "http://u"}}), defaults={"retries": "3"}
    )
    assert work.work == model.Deploy(to="web", strategy="canary", options={"health": {"url": "http://u"}})
    assert work.retries.count == 0


def test_everything_else_of_an_action():
    written = action(
        "a",
        inputs={"dist": "in"},
        artifacts={"out": {"files": ["x"], "exclude": ["y"], "optional": "true"}},
        cache={"paths": ["p"], "key_files": ["k"], "key": "v"},
        secrets=["TOKEN"],
        reports={"junit": ["r.xml"]},
        services={"db": {"image": "postgres", "env": {"P": "x"}, "ready": "pg_isready"}},
        when="always",
        continue_on_error="true",
    )
    plan = planned(written)
    assert plan.inputs == (model.ArtifactInput(name="dist", path="in"),)
    assert plan.artifacts == (model.ArtifactOutput(name="out", files=("x",), exclude=("y",), optional=True),)
    assert plan.cache == (model.Cache(paths=("p",), key_files=("k",), key="v"),)
    assert (plan.secrets, plan.reports, plan.when, plan.continue_on_error) == (
        {"TOKEN": "TOKEN"},
        ("r.xml",),
        model.When.ALWAYS,
        True,
    )
    assert plan.work.services == (model.Service(name="db", image="postgres", env={"P": "x"}, ready="pg_isready"),)


def test_a_stage():
    written = stage(
        "s",
        action("a"),
        lock="prod",
        order="ancestry",
        supersede_approvals="true",
        fail_fast="true",
        timeout="2h",
        conditions={
            "before_entry": {"window": {"cron": "* 9-16 * * 1-5"}, "result": "skip", "timeout": "1h"},
            "on_success": {
                "rules": [{"command": {"run": "check"}, "name": "smoke"}, {"variable": {"variable": "v", "value": "x"}}]
            },
        },
        on_failure={"retry": "1", "retry_mode": "all", "rollback": "true"},
    )
    plan = build(pipeline(written, env={"A": "1"}, defaults={"image": "base"}, mode="queued", timeout="1d"), {})
    found = plan.stages[0]
    assert (plan.mode, plan.timeout) == (model.Mode.QUEUED, timedelta(days=1))
    assert (found.lock, found.ancestry, found.supersede_approvals, found.fail_fast, found.timeout) == (
        "prod",
        True,
        True,
        True,
        timedelta(hours=2),
    )
    window = model.Rule(provider="window", options={"cron": "* 9-16 * * 1-5", "timezone": "UTC"}, timeout=timedelta(hours=1))
    assert found.before_entry == model.Condition(rules=(window,), result=model.ConditionResult.SKIP)
    smoke, check = found.on_success.rules
    assert (smoke.provider, smoke.name, found.on_success.result) == ("command", "smoke", model.ConditionResult.FAIL)
    assert smoke.options == {
        "run": "check",
        "image": "base",
        "runner": "docker",
        "shell": "sh",
        "env": {"A": "1"},
        "network": False,
    }
    assert check.options == {"variable": "v", "operator": "eq", "value": "x"}
    assert found.on_failure == model.OnFailure(retry=1, retry_mode=model.RetryMode.ALL_ACTIONS, rollback=True)


def test_a_condition_on_failure_rolls_back_if_it_holds():
    condition = {"on_failure": {"variable": {"variable": "v", "value": "x"}}}
    found = build(pipeline(stage("s", action("a"), conditions=condition)), {}).stages[0].on_failure
    assert found.rollback
    assert found.condition.result is model.ConditionResult.ROLLBACK


def test_fifty_stages_of_fifty_actions():
    names = [f"a{number}" for number in range(50)]
    chain = [action(name, needs=names[index - 1 : index]) for index, name in enumerate(names)]
    plan = build(pipeline(*(stage(f"s{number}", *chain) for number in range(50))), {})
    assert [found.needs for found in plan.stages[:2]] == [(), ("s0",)]
    assert sum(len(found.actions) for found in plan.stages) == 2500


@given(pipelines)
def test_a_plan_is_in_order_and_survives_the_journal(pipe):
    plan = build(pipe, {})
    passed = set()
    for found in plan.stages:
        assert passed.issuperset(found.needs)
        passed.add(found.name)
        names = {one.name for one in found.actions}
        assert all(names.issuperset(one.needs) for one in found.actions)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=model.Plan) == plan
