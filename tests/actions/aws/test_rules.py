"""The rules `alarm` and `lambda`, and the action `lambda-invoke`, against moto's server."""

import json
from urllib.request import Request, urlopen

import pytest

from agent.actions.aws.alarm import AlarmRule
from agent.actions.aws.invoke import InvokeAction
from agent.aws.session import AwsFault
from agent.model.outcome import Reason, Status
from tests.support.attempts import Bench, using


@pytest.fixture
def bench(tmp_path, cloud):
    metric = {"MetricName": "Errors", "Namespace": "app", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    for name in ("errors", "latency"):
        cloud.client("cloudwatch").put_metric_alarm(
            AlarmName=name, ComparisonOperator="GreaterThanThreshold", Statistic="Sum", **metric
        )
    return Bench(tmp_path)


def ring(cloud, name, state="ALARM"):
    cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="too many")


def alarm(bench, options, **more):
    return AlarmRule().perform(using("alarm", options, **more), bench)


def test_quiet(bench):
    assert alarm(bench, {"alarm": ["errors", "latency"]}).status is Status.SUCCEEDED


def test_ringing(bench, cloud):
    ring(cloud, "latency")
    outcome = alarm(bench, {"alarm": ["errors", "latency"]})
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "alarm latency is ALARM (too many)" in outcome.message


def test_states(bench, cloud):
    ring(cloud, "errors", "INSUFFICIENT_DATA")
    assert alarm(bench, {"alarm": "errors"}).succeeded
    assert not alarm(bench, {"alarm": "errors", "states": ["ALARM", "INSUFFICIENT_DATA"]}, number=2).succeeded


def test_one_that_goes_off_while_it_is_watched(bench, cloud):
    class Watching:
        def is_set(self):
            return False

        def wait(self, seconds):
            ring(cloud, "errors")

    bench.stop = Watching()
    outcome = alarm(bench, {"alarm": "errors", "bake": "50s"})
    assert "alarm errors is ALARM" in outcome.message


def test_a_bake_time_that_is_over(bench):
    assert alarm(bench, {"alarm": "errors", "bake": "1s"}).succeeded


def test_an_alarm_that_does_not_exist(bench):
    with pytest.raises(AwsFault, match="no alarm none"):
        alarm(bench, {"alarm": "none"})


@pytest.fixture
def answers(cloud):
    """Scripted answers of the functions of moto."""
    import io
    import zipfile

    def post(path, body):
        request = Request(f"{cloud.endpoint}/moto-api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request):
            pass

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("main.py", "")
    role = cloud.client("iam").create_role(RoleName="fn", AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
    cloud.client("lambda").create_function(
        FunctionName="check", Runtime="python3.12", Role=role, Handler="main.run", Code={"ZipFile": file.getvalue()}
    )
    post("config", {"lambda": {"use_docker": False}})
    return lambda *texts: post("static/lambda-simple/response", {"results": list(texts), "region": "eu-west-1"})


def invoke(bench, **more):
    return InvokeAction().perform(using("lambda-invoke", {"function": "check", "payload": {"table": "users"}}, **more), bench)


def test_a_function_that_agrees(bench, answers):
    answers('{"ok": true, "rows": 3, "name": "x", "list": [1]}')
    outcome = invoke(bench)
    assert outcome.status is Status.SUCCEEDED
    assert outcome.outputs == {"ok": "true", "rows": "3", "name": "x"}


def test_a_function_that_does_not(bench, answers):
    answers('{"ok": false, "message": "the queue is full"}')
    outcome = invoke(bench)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert outcome.message == "check says no: the queue is full"
