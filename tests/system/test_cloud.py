"""AWS in whole pipelines: a push, real workers, and moto's server; what is asserted is what the server then holds."""

import io
import json
import zipfile
from urllib.request import Request, urlopen

import pytest

from tests.support.cloud import environment
from tests.support.cloudstates import Builds
from tests.support.faults import LOCAL, printed
from tests.support.system import told

CONFIG = 'protected = ["main"]\n' + LOCAL + '[accounts.default]\nregion = "eu-west-1"\n'
LIVE = """\
stages:
  - name: live
    conditions:
      before_entry: {{uses: lambda, with: {{function: may-release, payload: {{version: "{version}"}}}}}}
      on_success: {{uses: alarm, with: {{alarm: errors, bake: {bake}}}, timeout: 5m, result: rollback}}
    actions:
      - name: deploy
        runner: local
        run: echo {version} >> {lines}
"""
BUILD = """\
stages:
  - name: build
    actions:
      - {name: app, uses: codebuild, with: {project: app}}
"""


@pytest.fixture
def aws(made, cloud):
    """A function, whose next answers are those that this is called with, and an alarm."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", "")
    role = cloud.client("iam").create_role(RoleName="fn", AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
    cloud.client("lambda").create_function(
        FunctionName="may-release", Runtime="python3.12", Role=role, Handler="main.run", Code={"ZipFile": code.getvalue()}
    )
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName="errors", MetricName="Errors", Namespace="app", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip

    def post(path, body):
        with urlopen(Request(f"{cloud.endpoint}/moto-api/{path}", json.dumps(body).encode())):
            pass

    post("config", {"lambda": {"use_docker": False}})
    return lambda *answers: post("static/lambda-simple/response", {"results": list(answers), "region": "eu-west-1"})


def test_a_function_lets_in_and_an_alarm_leads_back(made, aws, cloud):
    made.configure(CONFIG)

    def release(version, bake):
        made.commit({".pipeline/release.yaml": LIVE.format(version=version, bake=bake, lines=made.lines)})
        made.queued()
        return made.worker(env=environment(cloud.endpoint))

    def statuses():
        return [row.status for row in made.rows]

    aws('{"ok": false, "message": "not on a Friday"}', '{"ok": true}', '{"ok": true}')
    assert release("one", "1s").wait(60) == 0
    assert statuses() == ["Failed"]
    assert told(made.lines) == {}
    assert b"not on a Friday" in made.note("pipeline", made.head)

    assert release("two", "1s").wait(60) == 0
    assert statuses() == ["Failed", "Succeeded"]

    worker = release("three", "4m")
    made.until(lambda: b"watching errors until" in printed(made).split(b"three")[-1], "the alarm is watched", 60)
    cloud.client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="9 errors")
    assert worker.wait(60) == 0
    assert statuses()[:3] == ["Failed", "Succeeded", "Failed"]  # the fourth is the way back, whose alarm still rings
    assert made.lines.read_text().split() == ["two", "three", "two"]
    assert b"alarm errors is ALARM (9 errors)); rolled back by #4" in made.note("pipeline", made.head)


def test_a_build_goes_on_without_the_worker(made, cloud, monkeypatch):
    """Killed while it runs: the next worker finds it by its id, and starts no other."""
    made.configure(CONFIG)
    builds = Builds(monkeypatch, looks=10**6, log=("compiling", "linking"), logs=cloud.client("logs"))
    build = cloud.client("codebuild")
    build.create_project(
        name="app", serviceRole=cloud.role("builder"), artifacts={"type": "NO_ARTIFACTS"},
        source={"type": "GITHUB", "location": "https://example.com/app.git"},
        environment={"type": "LINUX_CONTAINER", "image": "standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"},
    )  # fmt: skip
    made.commit({".pipeline/release.yaml": BUILD})
    made.queued()
    worker = made.worker(env=environment(cloud.endpoint))
    made.until(lambda: b"linking" in printed(made), "the build is followed", 60)
    worker.kill()
    worker.wait()
    builds.looks = 1
    assert made.work(env=environment(cloud.endpoint)) == 0
    (record,) = made.records(made.head)
    (action,) = record["stages"][0]["actions"]
    assert (record["status"], [action["outputs"]["build"]]) == ("Succeeded", build.list_builds()["ids"])
    assert printed(made).count(b"compiling\nlinking\n") == 1
