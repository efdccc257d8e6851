"""`codedeploy` against moto's server, whose deployments move here."""

import io
import zipfile

import pytest

from agent.actions.aws.codedeploy import CodeDeployAction
from agent.model.outcome import Reason, Status
from tests.contracts.providers import ProviderContract
from tests.support.attempts import Bench, using
from tests.support.cloudstates import Deployments

OPTIONS = {"application": "web", "group": "production", "bucket": "revisions"}


@pytest.fixture
def bench(tmp_path, cloud):
    deploy = cloud.client("codedeploy")
    deploy.create_application(applicationName="web", computePlatform="Server")
    deploy.create_deployment_group(applicationName="web", deploymentGroupName="production", serviceRoleArn=cloud.role("deploy"))
    cloud.client("s3").create_bucket(Bucket="revisions", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return Bench(tmp_path, {"appspec.yml": "version: 0.0\nos: linux\n", "index.html": "x"})


def perform(bench, options=None, **more):
    return CodeDeployAction().perform(using("codedeploy", {**OPTIONS, **(options or {})}, **more), bench)


def deployments(cloud):
    deploy = cloud.client("codedeploy")
    return [deploy.get_deployment(deploymentId=found)["deploymentInfo"] for found in deploy.list_deployments()["deployments"]]


def test_success(bench, cloud, monkeypatch):
    Deployments(monkeypatch)
    outcome = perform(bench, {"file_exists_behavior": "OVERWRITE"})
    assert outcome.status is Status.SUCCEEDED
    (made,) = deployments(cloud)
    assert made["deploymentId"] == outcome.outputs["deployment"]
    assert made["fileExistsBehavior"] == "OVERWRITE"
    where = made["revision"]["s3Location"]
    body = cloud.client("s3").get_object(Bucket="revisions", Key=where["key"])["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(body)).namelist() == ["appspec.yml", "index.html"]
    assert b"InProgress" in bench.log.data


def test_failure_tells_which_target(bench, monkeypatch):
    Deployments(monkeypatch, ends="Failed")
    outcome = perform(bench)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "failed" in outcome.message
    assert b"i-1 ValidateService: exit 4\n  one\n  two\n" in bench.log.data


class TestContract(ProviderContract):
    uses, provider, options = "codedeploy", CodeDeployAction, OPTIONS
    done, stopped, good_for = [("Succeeded", "")], [("Stopped", "True")] * 2, 1

    @pytest.fixture(autouse=True)
    def _deployments(self, monkeypatch):
        self.deployments = Deployments(monkeypatch)

    def hang(self, monkeypatch):
        self.deployments.looks = 10**6

    def held(self, cloud):
        """How each deployment is, and whether it was asked to roll back."""
        return [(made["status"], made.get("additionalDeploymentStatusInfo", "")) for made in deployments(cloud)]
