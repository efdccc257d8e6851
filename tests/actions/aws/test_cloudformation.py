"""`cloudformation` against moto's server: which stacks there are, and what they hold."""

import json

import pytest

from agent.actions.aws.cloudformation import CloudFormationAction
from agent.aws.session import Sessions
from agent.config import Account, Config
from agent.errors import DefinitionError
from agent.model.outcome import Status
from tests.contracts.providers import ProviderContract
from tests.support.attempts import Bench, using
from tests.support.cloudstates import Stacks


def template(*queues):
    resources = {name: {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name.lower()}} for name in queues}
    outputs = {"Url": {"Value": {"Ref": queues[0]}}, "Stage": {"Value": {"Ref": "Stage"}}}
    return json.dumps({"Parameters": {"Stage": {"Type": "String", "Default": "x"}}, "Resources": resources, "Outputs": outputs})


@pytest.fixture
def bench(tmp_path, cloud):
    return Bench(tmp_path, {"infra/one.json": template("One"), "infra/two.json": template("One", "Two"), "bad.json": "{"})


def perform(bench, options, number=1):
    return CloudFormationAction().perform(using("cloudformation", {"stack": "app", **options}, number=number), bench)


def stack(cloud):
    return cloud.client("cloudformation").describe_stacks(StackName="app")["Stacks"][0]


def queues(cloud):
    return sorted(url.rpartition("/")[2] for url in cloud.client("sqs").list_queues().get("QueueUrls", ()))


def test_a_new_stack_then_a_change(bench, cloud, monkeypatch):
    Stacks(monkeypatch)
    outcome = perform(bench, {"template": "infra/one.json", "parameters": {"Stage": "test"}, "tags": {"team": "web"}})
    assert outcome.status is Status.SUCCEEDED
    assert outcome.outputs["Url"].endswith("/one")
    assert outcome.outputs["Stage"] == "test"
    assert stack(cloud)["Tags"] == [{"Key": "team", "Value": "web"}]
    assert perform(bench, {"template": "infra/two.json"}, 2).succeeded
    assert queues(cloud) == ["one", "two"]
    assert b"Add Two (AWS::SQS::Queue)\n" in bench.log.data


def test_a_plan_changes_nothing_until_it_is_executed(bench, cloud):
    perform(bench, {"template": "infra/one.json"})
    plan = perform(bench, {"template": "infra/two.json", "mode": "plan"}, 2)
    assert plan.outputs["changes"] >= "1"
    assert plan.outputs["replacements"] == "0"
    assert queues(cloud) == ["one"]
    assert perform(bench, {"mode": "execute", "change_set": plan.outputs["change_set"]}, 3).succeeded
    assert queues(cloud) == ["one", "two"]


def test_delete(bench, cloud):
    perform(bench, {"template": "infra/one.json"})
    assert perform(bench, {"mode": "delete"}, 2).succeeded
    assert queues(cloud) == []


class TestContract(ProviderContract):
    """Each attempt has another queue for the stack."""

    uses, provider = "cloudformation", CloudFormationAction
    done = ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]
    stopped = ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"] * 2

    @pytest.fixture(autouse=True)
    def _stacks(self, monkeypatch, bench):
        perform(bench, {"template": "infra/one.json"}, 99)
        self.stacks, self.files = Stacks(monkeypatch, looks=2), bench.files

    def nth(self, number):
        self.files[f"infra/{number}.json"] = template("One", f"Queue{number}")
        return {"stack": "app", "template": f"infra/{number}.json"}

    def hang(self, monkeypatch):
        self.stacks.looks = 10**6

    def held(self, cloud):
        """What happened to the stack since it was made."""
        events = cloud.client("cloudformation").describe_stack_events(StackName="app")["StackEvents"]
        return [event["ResourceStatus"] for event in events if event["ResourceStatus"].startswith("UPDATE")][::-1]


@pytest.mark.parametrize("side_by_side", ["true", "false"])
def test_two_accounts_and_two_regions(bench, cloud, monkeypatch, side_by_side):
    Stacks(monkeypatch)
    bench.sessions = Sessions()  # moto forgets to which account a key belongs when it is emptied
    accounts = {"one": "1" * 12, "two": "2" * 12}
    roles = {name: Account(role=cloud.role("deploy", account)) for name, account in accounts.items()}
    bench.config = Config(protected=("main",), accounts=roles)
    regions = ["eu-west-1", "us-east-1"]
    places = {"account": list(accounts), "region": regions, "side_by_side": side_by_side}
    outcome = perform(bench, {"template": "infra/one.json", **places})
    assert outcome.status is Status.SUCCEEDED
    for name, account in accounts.items():
        for region in regions:
            (found,) = cloud.as_account("cloudformation", account, region).describe_stacks()["Stacks"]
            assert f":{region}:{account}:stack/app/" in found["StackId"]
            assert outcome.outputs[f"Url@{name}@{region}"] == f"https://sqs.{region}.amazonaws.com/{account}/one"
            assert f"{name}@{region}: Add One (AWS::SQS::Queue)\n".encode() in bench.log.data


def test_a_broken_stack_says_why(bench, cloud, monkeypatch):
    perform(bench, {"template": "infra/one.json"})
    Stacks(monkeypatch, fails="no such queue")
    outcome = perform(bench, {"template": "infra/two.json"}, 2)
    assert outcome.status is Status.FAILED
    assert "UPDATE_ROLLBACK_COMPLETE" in outcome.message
    assert "no such queue" in outcome.message


def test_options_that_do_not_fit(bench):
    for options in ({}, {"mode": "execute"}, {"mode": "delete", "template": "x"}):
        with pytest.raises(DefinitionError, match="belongs to the mode"):
            perform(bench, options)
