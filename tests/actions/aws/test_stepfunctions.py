"""`step-functions` against moto's server."""

import json

import pytest

from agent.actions.aws.stepfunctions import StepFunctionsAction
from agent.errors import DefinitionError
from agent.model.outcome import Reason, Status
from tests.support.attempts import Bench, using


@pytest.fixture
def machine(cloud):
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    return cloud.client("stepfunctions").create_state_machine(
        name="migrate", definition=definition, roleArn=cloud.role("states")
    )["stateMachineArn"]


@pytest.fixture
def bench(tmp_path, cloud, machine):
    return Bench(tmp_path, {"input.json": '{"from": 3}'})


def ended(monkeypatch, status, **more):
    """Executions end as they are looked at, as moto's own never do."""
    from moto.stepfunctions.models import StepFunctionBackend

    describe = StepFunctionBackend.describe_execution

    def moved(self, arn):
        found = describe(self, arn)
        if found.status == "RUNNING":
            found.status = status
            for name, value in more.items():
                setattr(found, name, value)
        return found

    monkeypatch.setattr(StepFunctionBackend, "describe_execution", moved)


def perform(bench, machine, options=None, **more):
    return StepFunctionsAction().perform(using("step-functions", {"state_machine": machine, **(options or {})}, **more), bench)


def executions(cloud, machine):
    states = cloud.client("stepfunctions")
    found = states.list_executions(stateMachineArn=machine)["executions"]
    return [states.describe_execution(executionArn=each["executionArn"]) for each in found]


def test_success(bench, cloud, machine, monkeypatch):
    ended(monkeypatch, "SUCCEEDED", output='{"rows": 7, "name": "x", "more": [1]}')
    outcome = perform(bench, machine, {"input_file": "input.json"})
    assert outcome.status is Status.SUCCEEDED
    assert {key: outcome.outputs[key] for key in ("rows", "name")} == {"rows": "7", "name": "x"}
    assert "more" not in outcome.outputs
    assert [each["input"] for each in executions(cloud, machine)] == ['{"from": 3}']


def test_failure(bench, machine, monkeypatch):
    ended(monkeypatch, "FAILED", error="Oops", cause="no table")
    outcome = perform(bench, machine)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "FAILED (Oops: no table)" in outcome.message


def test_the_deadline_stops_it(bench, cloud, machine):
    outcome = perform(bench, machine, seconds=1)
    assert outcome.reason is Reason.TIMEOUT
    assert [each["status"] for each in executions(cloud, machine)] == ["ABORTED"]


def test_an_input_that_is_no_json(bench, machine):
    with pytest.raises(DefinitionError, match="not JSON"):
        perform(bench, machine, {"input": "{"})
