"""The rules `alarm` and `lambda`, and the action `lambda-invoke`, against moto's server."""

import json
from threading import Event
from urllib.request import Request, urlopen

import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend

from agent.actions.aws.alarm import AlarmRule
from agent.actions.aws.invoke import InvokeAction
from agent.aws.session import AwsFault
from agent.model.outcome import Reason, Status
from tests.contracts.providers import ProviderContract
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


class TestAlarms(ProviderContract):
    """Nothing is ever started."""

    uses, provider, options = "alarm", AlarmRule, {"alarm": "errors"}
    hanging, done, stopped, good_for = {"bake": "30d"}, [], [], 0

    def hang(self, monkeypatch):
        pass

    def held(self, cloud):
        return []


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


class TestInvoke(ProviderContract):
    """It is called once: where the answer was not heard, nobody knows how it ended."""

    uses, provider, options = "lambda-invoke", InvokeAction, {"function": "check"}
    done, stopped, good_for = ["called"], ["called"] * 2, 0

    @pytest.fixture(autouse=True)
    def _function(self, answers, monkeypatch, bench):
        invoke = LambdaSimpleBackend.invoke
        self.called, self.bench, self.is_hanging, self.over = [], bench, False, Event()

        def invoked(backend, *arguments):
            self.called.append("called")
            if self.is_hanging:
                self.bench.stop.wait(0)
                self.over.wait(60)
            return invoke(backend, *arguments)

        monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoked)
        yield
        self.over.set()

    def hang(self, monkeypatch):
        self.is_hanging = True

    def held(self, cloud):
        return self.called

    def resumed(self, outcome):
        assert outcome.succeeded or outcome.reason is Reason.LOST


def test_an_answer_that_is_long_in_coming_is_not_asked_for_again(bench, answers, monkeypatch):
    """The SDK would call the function five times."""
    called = []

    def breaks(backend, *arguments):
        called.append(1)
        raise RuntimeError

    monkeypatch.setattr(LambdaSimpleBackend, "invoke", breaks)
    outcome = invoke(bench)
    assert (outcome.status, outcome.reason, len(called)) == (Status.FAILED, Reason.LOST, 1)
    assert "nobody knows how it ended" in outcome.message
