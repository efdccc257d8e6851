"""`lambda` against moto's server: which versions there are, and where the alias leads."""

import io
import zipfile
from datetime import timedelta

import pytest
from moto.awslambda.models import LambdaFunction

from agent.actions.aws.lambda_ import LambdaAction
from agent.aws.session import AwsFault
from agent.model.outcome import Reason, Status
from tests.contracts.providers import ProviderContract
from tests.support.attempts import Bench, using, utc_now

OPTIONS = {"function": "resize"}


def packed(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("main.py", text)
    return file.getvalue()


@pytest.fixture
def bench(tmp_path, cloud):
    trust = '{"Statement": []}'
    role = cloud.client("iam").create_role(RoleName="fn", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    fn = cloud.client("lambda")
    code = {"ZipFile": packed("old")}
    fn.create_function(FunctionName="resize", Runtime="python3.12", Role=role, Handler="main.run", Code=code, Publish=True)
    fn.create_alias(FunctionName="resize", Name="live", FunctionVersion="1")
    metric = {"MetricName": "Errors", "Namespace": "app", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName="errors", ComparisonOperator="GreaterThanThreshold", Statistic="Sum", **metric
    )
    return Bench(tmp_path, {"main.py": "new"})


def perform(bench, options=None, **more):
    return LambdaAction().perform(using("lambda", {**OPTIONS, **(options or {})}, **more), bench)


def alias(cloud):
    found = cloud.client("lambda").get_alias(FunctionName="resize", Name="live")
    return found["FunctionVersion"], found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def ring(cloud, state):
    cloud.client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue=state, StateReason="7 errors")


def test_code_version_alias(bench, cloud):
    outcome = perform(bench, {"alias": "live"})
    assert outcome.status is Status.SUCCEEDED
    assert outcome.outputs["version"] == "2"
    assert outcome.outputs["previous"] == "1"
    assert outcome.outputs["arn"].endswith("resize:2")
    assert alias(cloud) == ("2", {})
    assert "functions/resize" in outcome.link


def test_a_new_alias(bench, cloud):
    assert perform(bench, {"alias": "next"}).outputs["previous"] == ""
    assert cloud.client("lambda").get_alias(FunctionName="resize", Name="next")["FunctionVersion"] == "2"


def test_by_way_of_a_bucket(bench, cloud):
    cloud.client("s3").create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert perform(bench, {"bucket": "code"}).succeeded
    assert cloud.client("s3").list_objects_v2(Bucket="code")["KeyCount"] == 1


def test_a_canary_that_does_well(bench, cloud):
    outcome = perform(bench, {"alias": "live", "canary": "10", "bake": "1s", "alarms": "errors"})
    assert outcome.succeeded
    assert alias(cloud) == ("2", {})
    assert b"10 % of live goes to version 2\n" in bench.log.data


def test_an_alarm_leads_back(bench, cloud):
    ring(cloud, "ALARM")
    outcome = perform(bench, {"alias": "live", "canary": "10", "bake": "50s", "alarms": ["errors"]})
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "alarm errors is ALARM (7 errors)" in outcome.message
    assert alias(cloud) == ("1", {})


def test_the_canary_gets_its_share_while_it_is_watched_and_the_deadline_leads_back(bench, cloud):
    class Watching:
        def is_set(self):
            return False

        def wait(self, seconds):
            if alias(cloud) == ("1", {"2": 0.25}):
                bench.now = lambda: utc_now() + timedelta(days=1)

    bench.stop = Watching()
    outcome = perform(bench, {"alias": "live", "canary": "25", "bake": "30d"}, seconds=36_000)
    assert outcome.reason is Reason.TIMEOUT
    assert alias(cloud) == ("1", {})


def test_an_alarm_that_does_not_exist_leads_back(bench, cloud):
    with pytest.raises(AwsFault, match="no alarm none"):
        perform(bench, {"alias": "live", "alarms": "none"})
    assert alias(cloud) == ("1", {})


class TestContract(ProviderContract):
    """The same code is the same version, however often."""

    uses, provider, options = "lambda", LambdaAction, {**OPTIONS, "alias": "live", "alarms": "errors"}
    hanging = {"canary": "10", "bake": "30d"}
    done, stopped = [("2", {}), "1", "2"], [("1", {}), "1", "2"]

    @pytest.fixture(autouse=True)
    def _unchanged(self, monkeypatch):
        """moto takes the same code again for a change."""
        update = LambdaFunction.update_function_code

        def updated(function, spec):
            former, was_updated = function.code_sha_256, function.code_or_config_updated
            answer = update(function, spec)
            function.code_or_config_updated = was_updated or function.code_sha_256 != former
            return answer

        monkeypatch.setattr(LambdaFunction, "update_function_code", updated)

    def after(self, times):
        return self.done if times else [("1", {}), "1"]

    def hang(self, monkeypatch):
        pass

    def held(self, cloud):
        """Where the alias leads, and the versions."""
        versions = cloud.client("lambda").list_versions_by_function(FunctionName="resize")["Versions"]
        return [alias(cloud), *(version["Version"] for version in versions if version["Version"] != "$LATEST")]


def test_no_function(bench):
    with pytest.raises(AwsFault, match="not found"):
        perform(bench, {"function": "none"})
