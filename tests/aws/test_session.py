"""The one place that makes clients, against moto's server."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from agent.aws.session import AwsBusy, AwsFault, Clients, Identity, Sessions
from tests.support.cloud import Cloud


def test_the_agent_itself(cloud: Cloud):
    clients = Clients(Sessions(), Identity(), "us-east-2")
    clients("s3")("create_bucket", Bucket="www", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    assert [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]] == ["www"]
    assert clients.region == "us-east-2"


def test_the_region_of_the_environment(cloud: Cloud):
    assert Clients(Sessions(), Identity(), "").region == "eu-west-1"


def test_an_assumed_role_is_another_account(cloud: Cloud):
    identity = Identity(cloud.role("deploy", "222222222222"), "external", "git-pipeline-x", (("pipeline", "release"),))
    arn = Clients(Sessions(), identity, "eu-west-1")("sts")("get_caller_identity")["Arn"]
    assert arn == "arn:aws:sts::222222222222:assumed-role/deploy/git-pipeline-x"


def test_credentials_of_a_role_are_renewed_before_they_expire(cloud: Cloud, monkeypatch):
    from moto.sts.models import STSBackend

    count = []
    real = STSBackend.assume_role

    def assume(self, *arguments, **more):
        count.append(1)
        given = real(self, *arguments, **more)
        given.expiration = datetime.now(UTC) + timedelta(seconds=30)
        return given

    monkeypatch.setattr(STSBackend, "assume_role", assume)
    queues = Clients(Sessions(), Identity(cloud.role("deploy")), "")("sqs")
    queues("list_queues")
    queues("list_queues")
    assert len(count) >= 2


def test_what_aws_says_no_to(cloud: Cloud):
    with pytest.raises(AwsFault, match=r"sqs get_queue_url: .*does not exist") as caught:
        Clients(Sessions(), Identity(), "")("sqs")("get_queue_url", QueueName="none")
    assert caught.value.code.endswith("NonExistentQueue") or "QueueDoesNotExist" in caught.value.code


def test_no_credentials(cloud: Cloud, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsFault, match="Unable to locate credentials") as caught:
        Clients(Sessions(), Identity(), "")("sqs")("list_queues")
    assert "credentials" in caught.value.hint


def test_nobody_answers(cloud: Cloud, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("agent.aws.session._config", lambda _: None)
    with pytest.raises(AwsBusy, match="sqs list_queues"):
        Clients(Sessions(), Identity(), "")("sqs")("list_queues")


def test_the_sdk_is_loaded_with_the_first_call():
    program = (
        "import sys; from agent.aws.session import Clients, Identity, Sessions;"
        "Clients(Sessions(), Identity(), 'eu-west-1')('s3'); print('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
