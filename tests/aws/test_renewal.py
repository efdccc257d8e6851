"""Credentials that expire: whoever uses AWS gets new ones, through the one mechanism that there is."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import agent
from agent.artifacts.opening import Opening, open_store
from agent.aws import hosts
from agent.aws.session import AwsFault, Clients, Identity, Sessions
from agent.config import Ec2, Secret
from agent.model.host import Host
from agent.notify.eventbridge import EventBridgeNotifier
from agent.notify.sns import SnsNotifier
from agent.secrets.aws import ManagerSource, ParameterSource
from agent.settings import Artifacts, Listen, Notify, Replica
from agent.sources.queue import Queue
from tests.contracts.artifacts import archive
from tests.support.cloud import REGION
from tests.support.notices import means, one

BUCKETS = {"kept": REGION, "kept-far": "us-east-2"}


@pytest.fixture
def role(cloud):
    return cloud.role("reader")


@pytest.fixture
def bucket(cloud):
    for name, region in BUCKETS.items():
        cloud.client("s3", region).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    return cloud.client("s3")


@pytest.fixture
def store(cloud, role, bucket, tmp_path):
    """A store, and one that knows nothing of what the first one did."""
    settings = Artifacts(store="s3", bucket="kept", role=role, region=REGION, replicas={"us-east-2": Replica(bucket="kept-far")})
    made = lambda name: open_store(Opening(tmp_path / name, settings, Sessions()))  # noqa: E731
    return SimpleNamespace(first=made("first"), second=made("second"), archive=lambda: archive(tmp_path, b"kept"))


@pytest.fixture
def instance(cloud):
    ec2 = cloud.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    (made,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    return made


def renewed(cloud, good_for=0):
    """From now on the first key that comes is soon over."""
    cloud.gate.expire(good_for)


def assumed(cloud):
    return [each.operation for each in cloud.gate.asked].count("AssumeRole")


@pytest.mark.parametrize("good_for", [0, 1, 2])
def test_between_two_pages(cloud, role, bucket, good_for):
    for name in "abc":
        bucket.put_object(Bucket="kept", Key=name, Body=b"")
    renewed(cloud, good_for)
    s3 = Clients(Sessions(), Identity(role), REGION)("s3", Bucket="kept")
    found = [each["Key"] for each in s3.pages("list_objects_v2", "Contents", PaginationConfig={"PageSize": 1})]
    assert (found, assumed(cloud)) == (["a", "b", "c"], 2)


def test_where_the_answer_has_no_words(cloud, role, bucket):
    """That to a HEAD."""
    bucket.put_object(Bucket="kept", Key="a", Body=b"abc")
    renewed(cloud)
    s3 = Clients(Sessions(), Identity(role), REGION)("s3")
    assert (s3("head_object", Bucket="kept", Key="a")["ContentLength"], assumed(cloud)) == (3, 2)


def test_a_secret_of_systems_manager(cloud, role):
    cloud.client("ssm").put_parameter(Name="/token", Value="hunter2", Type="SecureString")
    renewed(cloud)
    assert ParameterSource(Sessions()).get("T", Secret(ssm="/token", role=role, region=REGION)) == b"hunter2"
    assert assumed(cloud) == 2


def test_a_secret_of_the_manager(cloud, role):
    cloud.client("secretsmanager").create_secret(Name="token", SecretString="hunter2")
    renewed(cloud)
    assert ManagerSource(Sessions()).get("T", Secret(secretsmanager="token", role=role, region=REGION)) == b"hunter2"
    assert assumed(cloud) == 2


def test_a_queue(cloud, role):
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="pushed")
    queue = Queue(Listen(queue=url, role=role, region=REGION), Sessions())
    renewed(cloud)
    (message,) = queue.receive(0)
    assert (message.body, assumed(cloud)) == ("pushed", 2)
    renewed(cloud)
    queue.delete(message)
    assert queue.receive(0) == ()


def test_messages(cloud, role):
    topic = cloud.client("sns").create_topic(Name="releases")["TopicArn"]
    for notifier in (
        SnsNotifier(Notify(events=("*",), sns=topic, role=role), means()),
        EventBridgeNotifier(Notify(events=("*",), eventbridge="default", role=role), means()),
    ):
        renewed(cloud)
        notifier.send(one("execution.failed"))
        assert assumed(cloud) == 2


def test_artifacts(cloud, store):
    file, digest = store.archive()
    uses = (
        lambda: store.first.put(file, digest),
        lambda: store.second.has(digest),
        lambda: store.second.fetch(digest).read_bytes(),
        lambda: [each.digest for each in store.second.stored()],
        lambda: store.second.place(digest, "us-east-2").bucket,
        lambda: store.second.remove(digest),
    )
    given = []
    for use in uses:
        renewed(cloud)
        given.append(use())
        assert [each for each in cloud.gate.asked if each.service == "sts"]
    assert given == [None, True, b"kept", [digest], "kept-far", True]


def test_hosts(cloud, role, instance):
    places = [Ec2(region=REGION, tags={}, role=role)]
    renewed(cloud)
    (host,) = hosts.find(Sessions(), places)
    assert (host.id, assumed(cloud)) == (instance["InstanceId"], 2)
    renewed(cloud)
    hosts.admit(Sessions(), places, host, "deploy", "ssh-ed25519 " + "A" * 80)
    assert assumed(cloud) == 2


def test_the_console_of_a_host(cloud, role, instance, monkeypatch):
    key = "ssh-ed25519 " + "A" * 60
    told = f"-----BEGIN SSH HOST KEY KEYS-----\n{key} root@host\n-----END SSH HOST KEY KEYS-----\n"
    monkeypatch.setattr("moto.ec2.responses.general.SAMPLE_CONSOLE_OUTPUT", told)
    host = Host(name="web", address="10.0.0.1", id=instance["InstanceId"], region=REGION, role=role)
    renewed(cloud)
    assert hosts.console_keys(Sessions(), [Ec2(region=REGION, tags={}, role=role)], host) == (key,)
    assert assumed(cloud) == 2


def test_they_are_got_anew_once_for_a_call(cloud, monkeypatch):
    """The agent's own, which nobody renews."""
    cloud.gate.expire(0)
    with pytest.raises(AwsFault, match="expired"):
        Clients(Sessions(), Identity(), REGION)("sqs")("list_queues")
    assert len(cloud.gate.asked) == 2


def test_nobody_goes_another_way():
    """Clients of the SDK are asked for, and what they say is judged, in agent/aws/session.py alone."""
    root = Path(agent.__file__).parent
    other = re.compile(r"sessions?\.client\(|\.get_paginator\(|import boto")
    found = {str(path.relative_to(root)) for path in root.rglob("*.py") if other.search(path.read_text())}
    assert found == {"aws/session.py"}
