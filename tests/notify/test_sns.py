"""SNS on moto's server; what was published is read from a queue that is subscribed."""

import json

import pytest

from agent.notify.sns import SnsNotifier
from agent.settings import Notify
from tests.contracts.notifiers import AwsNotifierContract
from tests.support.notices import means, one


class Topic:
    """A topic with a queue behind it."""

    def __init__(self, cloud, region="eu-west-1"):
        self.cloud, self.region = cloud, region
        self.sqs, self.sns = cloud.client("sqs", region), cloud.client("sns", region)
        self.arn = self.sns.create_topic(Name="releases")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="heard")["QueueUrl"]
        self.heard = []
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=arn)

    def messages(self):
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self.heard.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return self.heard


@pytest.fixture
def topic(cloud):
    return Topic(cloud)


def made(topic, **more):
    return SnsNotifier(Notify(events=("*",), sns=topic.arn, **more), means())


class TestSns(AwsNotifierContract):
    @pytest.fixture
    def notifier(self, topic):
        self.topic = topic
        return made(topic)

    def as_role(self, role):
        return made(self.topic, role=role)

    def arrived(self):
        return len(self.topic.messages())

    def fail(self):
        self.topic.sns.delete_topic(TopicArn=self.topic.arn)

    def heal(self):
        self.topic = Topic(self.topic.cloud)


def test_an_approval_has_codepipelines_payload(topic):
    made(topic).send(one("approval.needed"))
    envelope = topic.messages()[0]
    message = json.loads(envelope["Message"])
    assert message["approval"]["pipelineName"] == "release"
    assert message["approval"]["customData"] == "Check staging"
    assert message["region"] == "eu-west-1"
    assert envelope["Subject"] == "release #42: sign-off/qa waits for an approval"
    assert envelope["MessageAttributes"]["event"]["Value"] == "approval.needed"


def test_all_else_has_that_of_a_notification_rule(topic):
    made(topic).send(one("execution.failed"))
    message = json.loads(topic.messages()[0]["Message"])
    assert message["detail"]["state"] == "FAILED"
    assert message["account"] == "123456789012"
    assert message["additionalAttributes"]["failedActions"][0]["action"] == "unit"


def test_another_region_as_the_arn_says(cloud):
    far = Topic(cloud, "us-east-2")
    made(far).send(one("execution.started"))
    assert json.loads(far.messages()[0]["Message"])["region"] == "us-east-2"
