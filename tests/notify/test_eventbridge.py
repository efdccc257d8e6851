"""EventBridge on moto's server; a rule with CodePipeline's pattern takes the events to a queue."""

import json

import pytest

from agent.config import parse
from agent.notify.eventbridge import EventBridgeNotifier
from agent.settings import Notify
from tests.contracts.notifiers import AwsNotifierContract
from tests.support.notices import means, one


class Bus:
    """A bus whose failures go to a queue, and all else to another."""

    def __init__(self, sqs, events):
        self.sqs, self.events = sqs, events
        self.events.create_event_bus(Name="deployments")
        self.all = self._queue("all", {"source": ["git-pipeline"]})
        self.failed = self._queue("failed", {"detail": {"state": ["FAILED"]}})

    def _queue(self, name, pattern):
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.events.put_rule(Name=name, EventBusName="deployments", EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule=name, EventBusName="deployments", Targets=[{"Id": "1", "Arn": arn}])
        return url

    def messages(self, url):
        heard = []
        while found := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                heard.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return heard


@pytest.fixture
def bus(cloud):
    return Bus(cloud.client("sqs"), cloud.client("events"))


def made(**more):
    return EventBridgeNotifier(Notify(events=("*",), eventbridge="deployments", **more), means())


class TestEventBridge(AwsNotifierContract):
    @pytest.fixture
    def notifier(self, bus, monkeypatch):
        self.bus = bus
        self.patch = monkeypatch
        return made()

    def as_role(self, role):
        return made(role=role)

    def arrived(self):
        return len(self.bus.messages(self.bus.all))

    def fail(self):
        from moto.events.models import EventsBackend

        def refused(*_, **__):
            return [{"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}]

        self.patch.setattr(EventsBackend, "put_events", refused)

    def heal(self):
        self.patch.undo()
        self.patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_a_pattern_of_codepipeline_finds_it(bus):
    for event in ("execution.started", "execution.failed", "stage.succeeded"):
        made().send(one(event))
    failed = bus.messages(bus.failed)
    assert [message["detail-type"] for message in failed] == ["CodePipeline Pipeline Execution State Change"]
    assert failed[0]["detail"]["pipeline"] == "release"
    assert failed[0]["source"] == "git-pipeline"
    assert len(bus.messages(bus.all)) == 3


def test_as_an_account_of_the_configuration(cloud):
    other = "210987654321"
    far = Bus(cloud.as_account("sqs", other), cloud.as_account("events", other))
    text = f'[accounts.far]\nrole = "{cloud.role("ops", other)}"\n[[notify]]\nevents = ["*"]\neventbridge = "deployments"\n'
    (rule,) = parse({"c": f"{text}account = 'far'".encode()}).notify
    EventBridgeNotifier(rule, means()).send(one("execution.failed"))
    assert len(far.messages(far.failed)) == 1
