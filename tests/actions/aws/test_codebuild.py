"""`codebuild` against moto's server, whose builds take time and fail here."""

import pytest

from agent.actions.aws.codebuild import CodeBuildAction
from agent.aws.session import AwsFault
from agent.model.outcome import Reason, Status
from tests.contracts.providers import ProviderContract
from tests.support.attempts import COMMIT, Bench, using
from tests.support.cloudstates import Builds

ROLE = "arn:aws:iam::123456789012:role/builder"


@pytest.fixture
def bench(tmp_path, cloud):
    source = {"type": "GITHUB", "location": "https://example.com/app.git"}
    environment = {"type": "LINUX_CONTAINER", "image": "standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"}
    cloud.client("codebuild").create_project(
        name="app",
        source=source,
        artifacts={"type": "NO_ARTIFACTS"},
        environment=environment,
        serviceRole=ROLE,
    )
    return Bench(tmp_path, {"buildspec.yml": "version: 0.2"})


def perform(bench, options=None, **more):
    return CodeBuildAction().perform(using("codebuild", {"project": "app", **(options or {})}, **more), bench)


def test_success(bench, cloud, monkeypatch):
    builds = Builds(monkeypatch, log=("compiling", "done"), logs=cloud.client("logs"))
    builds.exported = {"VERSION": "1.2"}
    outcome = perform(bench, {"env": {"STAGE": "test"}})
    assert outcome.status is Status.SUCCEEDED
    assert outcome.outputs["VERSION"] == "1.2"
    assert outcome.link.startswith("https://console.aws.amazon.com/")
    assert cloud.client("codebuild").list_builds()["ids"] == [outcome.outputs["build"]]
    asked = builds.asked[0]
    assert asked["sourceVersion"] == COMMIT
    assert {"name": "STAGE", "value": "test", "type": "PLAINTEXT"} in asked["environmentVariablesOverride"]
    assert b"compiling\ndone\n" in bench.log.data
    assert b": BUILD\n" in bench.log.data


def test_our_files_by_way_of_a_bucket(bench, cloud, monkeypatch):
    builds = Builds(monkeypatch)
    cloud.client("s3").create_bucket(Bucket="sources", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert perform(bench, {"bucket": "sources", "buildspec": "ci/buildspec.yml"}).succeeded
    bucket, _, key = builds.asked[0]["sourceLocationOverride"].partition("/")
    assert cloud.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
    assert builds.asked[0]["buildspecOverride"] == "ci/buildspec.yml"


@pytest.mark.parametrize(("ends", "reason"), [("FAILED", Reason.EXIT), ("FAULT", Reason.EXIT), ("TIMED_OUT", Reason.TIMEOUT)])
def test_failure(bench, monkeypatch, ends, reason):
    Builds(monkeypatch, ends=ends)
    outcome = perform(bench)
    assert (outcome.status, outcome.reason) == (Status.FAILED, reason)
    assert ends in outcome.message
    assert ends != "FAILED" or "make: exit status 2" in outcome.message


def test_no_project(bench):
    with pytest.raises(AwsFault, match="Project cannot be found"):
        perform(bench, {"project": "nothing"})


class TestContract(ProviderContract):
    uses, provider, options = "codebuild", CodeBuildAction, {"project": "app"}
    done, stopped, good_for = ["SUCCEEDED"], ["STOPPED"] * 2, 1

    @pytest.fixture(autouse=True)
    def _builds(self, monkeypatch):
        self.builds = Builds(monkeypatch)

    def hang(self, monkeypatch):
        self.builds.looks = 10**6

    def held(self, cloud):
        return statuses(cloud)


def statuses(cloud):
    codebuild = cloud.client("codebuild")
    ids = codebuild.list_builds()["ids"]
    return [build["buildStatus"] for build in codebuild.batch_get_builds(ids=ids)["builds"]] if ids else []
