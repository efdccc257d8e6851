"""`step-functions` against moto's server."""

import json

import pytest

from agent.actions.aws.stepfunctions import StepFunctionsAction
from agent.errors import DefinitionError
from agent.model.outcome import Reason, Status
from tests.contracts.providers import ProviderContract
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
    """Executions end at the second look, as moto's own never do, and one that has ended is not started again by its name."""
    from moto.stepfunctions.exceptions import ExecutionAlreadyExists
    from moto.stepfunctions.models import StepFunctionBackend

    describe, start = StepFunctionBackend.describe_execution, StepFunctionBackend.start_execution
    looked = set()

    def started(self, arn, name, execution_input):
        found = start(self, arn, name, execution_input)
        if found.status != "RUNNING":
            raise ExecutionAlreadyExists(f"Execution Already Exists: '{found.execution_arn}'")
        return found

    def moved(self, arn):
        found = describe(self, arn)
        if found.status == "RUNNING" and found in looked:
            found.status = status
            for name, value in more.items():
                setattr(found, name, value)
        looked.add(found)
        return found

    monkeypatch.setattr(StepFunctionBackend, "describe_execution", moved)
    monkeypatch.setattr(StepFunctionBackend, "start_execution", started)


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


class TestContract(ProviderContract):
    uses, provider = "step-functions", StepFunctionsAction
    done, stopped, good_for = ["SUCCEEDED"], ["ABORTED"] * 2, 1

    @pytest.fixture(autouse=True)
    def _machine(self, machine, monkeypatch):
        self.options = {"state_machine": machine}
        self.ends = pytest.MonkeyPatch()
        ended(self.ends, "SUCCEEDED", output="{}")
        yield
        self.ends.undo()

    def hang(self, monkeypatch):
        self.ends.undo()

    def go_on(self, cloud):
        for _ in range(2):
            executions(cloud, self.options["state_machine"])

    def held(self, cloud):
        return [each["status"] for each in executions(cloud, self.options["state_machine"])]


def test_an_input_that_is_no_json(bench, machine):
    with pytest.raises(DefinitionError, match="not JSON"):
        perform(bench, machine, {"input": "{"})
