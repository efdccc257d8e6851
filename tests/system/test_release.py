"""The story of a release, whole: `examples/release` pushed to a server with Docker, three hosts over SSH, and AWS."""

import io
import json
import os
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from agent.state.database import open_existing
from agent.state.queue import Queue
from tests.support.cloudstates import Rollouts
from tests.support.farm import Farm, leading_to
from tests.support.installed import Installed
from tests.support.signing import Signing

EXAMPLE = Path(__file__).parents[2] / "examples" / "release"
PATIENCE = 180.0  # seconds, on a machine that is busy with other tests


class Aws:
    """What the release needs to be there: a function, a service, a topic, and a queue that hears it."""

    def __init__(self, cloud, monkeypatch):
        self.cloud = cloud
        Rollouts(monkeypatch)
        self._function()
        self._service()
        cloud.client("s3").create_bucket(Bucket="releases", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.sqs, sns = cloud.client("sqs"), cloud.client("sns")
        self.topic = sns.create_topic(Name="releases")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="heard")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)

    def _function(self):
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("main.py", "run = None\n")
        role = self.cloud.client("iam").create_role(RoleName="fn", AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
        client = self.cloud.client("lambda")
        client.create_function(
            FunctionName="thumbnails", Runtime="python3.12", Role=role, Handler="main.run",
            Code={"ZipFile": code.getvalue()}, Publish=True,
        )  # fmt: skip
        client.create_alias(FunctionName="thumbnails", Name="live", FunctionVersion="1")

    def _service(self):
        ecs = self.cloud.client("ecs")
        ecs.create_cluster(clusterName="shop")
        container = {"name": "api", "image": "registry.example.com/shop-api:0.9", "memory": 64, "essential": True}
        ecs.register_task_definition(family="api", containerDefinitions=[container])
        ecs.create_service(cluster="shop", serviceName="api", taskDefinition="api", desiredCount=2)

    @property
    def alias(self):
        return self.cloud.client("lambda").get_alias(FunctionName="thumbnails", Name="live")["FunctionVersion"]

    @property
    def image(self):
        ecs = self.cloud.client("ecs")
        service = ecs.describe_services(cluster="shop", services=["api"])["services"][0]
        definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        return definition["containerDefinitions"][0]["image"]

    def hear(self):
        """The next message of the topic: its event, and what it says."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=5).get("Messages", [])
            for message in found:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                envelope = json.loads(message["Body"])
                return envelope["MessageAttributes"]["event"]["Value"], json.loads(envelope["Message"])
        raise AssertionError("nothing is heard")


class Shop(Installed, Signing):
    """The example in a repository whose server is as its config.toml says, but for addresses, image and keys."""

    def __init__(self, root, keys, farm, aws, image):
        super().__init__(root)
        self.close()
        self.keys, self.farm, self.aws = keys, farm, aws
        self.environment |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        shutil.copytree(EXAMPLE, self.clone, dirs_exist_ok=True)
        pipeline = self.clone / ".pipeline" / "release.yaml"
        pipeline.write_text(pipeline.read_text().replace("alpine:3", image))
        config = (EXAMPLE / "config.toml").read_text()
        own = config.split('keys = ["')[1].split('"')[0]
        config = config.replace(own, keys.public("alice")).replace("arn:aws:sns:eu-west-1:123456789012:releases", aws.topic)
        staging, *production = farm.hosts
        for former, hosts in (('["10.0.2.11"]', [staging]), ('["10.0.1.11", "10.0.1.12"]', production)):
            config = config.replace(f"addresses = {former}", leading_to({host.name: host for host in hosts}, farm.key))
        config = config.replace('user = "deploy"', 'user = "root"')
        kept = '[artifacts]\nstore = "s3"\nbucket = "releases"\n'
        (self.directory / "config.toml").write_text('linger = "0s"\n' + config + kept)

    def page(self, host, place="current"):
        """The first page that a host has, if it has one."""
        path = self.farm.hosts[host].root.parent / "srv" / "shop" / place
        found = path.parent / path.readlink() if path.is_symlink() else path
        page = found / "dist" / "index.html"
        return page.read_text() if page.exists() else ""

    def wait_for(self, status, number=1):
        deadline = time.monotonic() + PATIENCE
        while (row := self._row(number)) is None or row.status != status:
            assert time.monotonic() < deadline, f"{row}\n{(self.directory / 'agent.log').read_text()}"
            time.sleep(0.1)

    def _row(self, number):
        database = open_existing(str(self.directory / "state.db"))
        try:
            return Queue(database).by_number("release", number)
        finally:
            database.close()

    @property
    def record(self):
        return json.loads(self.note("refs/notes/pipeline-record", self.head).splitlines()[-1])


@pytest.fixture
def shop(tmp_path, keys, cloud, busybox, monkeypatch):
    farm = Farm(tmp_path / "farm")
    for _ in range(3):
        farm.host()
    try:
        yield Shop(tmp_path / "shop", keys, farm, Aws(cloud, monkeypatch), busybox)
    finally:
        farm.close()


def statuses(record):
    return {stage["name"]: stage.get("status") for stage in record["stages"]}


def test_from_the_push_to_production(shop):
    aws = shop.aws
    shop.commit({}, "The shop")
    said = shop.push("main")
    assert "ok: 999 cents are 11.89" in said
    assert "waits for" in said

    event, asked = aws.hear()
    assert event == "approval.needed"
    assert asked["approval"]["pipelineName"] == "release"
    assert asked["approval"]["actionName"] == "qa"
    assert asked["approval"]["customData"] == "Is the shop on staging fit for customers?"
    assert asked["approval"]["externalEntityLink"] == "https://staging.example.com"
    assert any("approve/release/1/sign-off" in line for line in asked["howTo"])
    assert "version 1.0" in shop.page(0)
    assert [shop.page(1, "live"), shop.page(2, "live"), aws.alias] == ["", "", "1"], "production is as it was"

    shop.sign("approve/release/1/sign-off/alice", shop.head, by="alice", message="It looks fine")
    shop.push("refs/tags/approve/release/1/sign-off/alice")
    shop.wait_for("Succeeded")
    event, told = aws.hear()
    assert (event, told["detail"]["state"]) == ("execution.succeeded", "SUCCEEDED")
    assert told["detail"]["execution-trigger"]["commit-id"] == shop.head
    for host in (1, 2):
        assert "version 1.0" in shop.page(host, "live")
    assert aws.alias == "2"
    assert aws.image == "registry.example.com/shop-api:1.0"
    assert statuses(shop.record) == dict.fromkeys(("build", "staging", "integration", "sign-off", "production"), "Succeeded")
    assert aws.cloud.client("s3").list_objects_v2(Bucket="releases")["KeyCount"] == 2, "both artifacts"
    outputs = {action["name"]: action.get("outputs", {}) for action in shop.record["stages"][-1]["actions"]}
    assert outputs["thumbnails"]["version"] == "2"


def test_a_stage_that_fails_ends_it_and_is_told(shop):
    aws = shop.aws
    shop.commit({"prices.sh": "#!/bin/sh\necho 0.00\n"}, "Everything is free")
    assert "not ok" in shop.push("main")
    shop.wait_for("Failed")
    event, told = aws.hear()
    assert (event, told["detail"]["state"]) == ("execution.failed", "FAILED")
    assert told["additionalAttributes"]["failedStage"] == "build"
    assert told["additionalAttributes"]["failedActions"][0]["action"] == "unit"
    assert statuses(shop.record) == {"build": "Failed"} | dict.fromkeys(("staging", "integration", "sign-off", "production"))
    assert shop.page(0) == ""
    assert aws.alias == "1"


def test_a_no_of_the_qa_lead_ends_it_before_production(shop):
    aws = shop.aws
    shop.commit({}, "The shop")
    shop.push("main")
    assert aws.hear()[0] == "approval.needed"
    shop.sign("reject/release/1/sign-off/alice", shop.head, by="alice", message="The pears are too cheap")
    shop.push("refs/tags/reject/release/1/sign-off/alice")
    shop.wait_for("Failed")
    event, told = aws.hear()
    assert event == "execution.failed"
    assert told["additionalAttributes"]["failedActions"][0]["action"] == "qa"
    assert [shop.page(1, "live"), aws.alias, aws.image] == ["", "1", "registry.example.com/shop-api:0.9"]


def test_the_configuration_of_the_example_is_right():
    from agent.config import parse

    config = parse({"config.toml": (EXAMPLE / "config.toml").read_bytes()})
    assert config.notify[0].wanted == {"approval.needed", "execution.succeeded", "execution.failed"}
