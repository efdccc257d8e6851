"""Who the agent is in an account, by what STS is asked for."""

from agent.aws.session import Sessions
from agent.config import parse
from agent.worker import accounts
from agent.worker.permit import Permit
from tests.support.attempts import COMMIT, EXECUTION, using

ROLE = "arn:aws:iam::222222222222:role/deploy"
CONFIG = f"""\
protected = ["main"]
[accounts.production]
role = "{ROLE}"
external_id = "git-pipeline"
session_tags = ["pipeline", "execution", "stage", "action", "commit"]
[accounts.plain]
role = "{ROLE}"
"""


def asked(cloud, name, **more):
    """The one request to STS of an attempt that uses an account for two services."""
    permit, attempt = Permit(parse({"config.toml": CONFIG.encode()})), using("step-functions", {}, **more)
    cloud.gate.open()
    aws = accounts.clients(permit, Sessions(), attempt, name, "eu-west-1")
    assert aws("sqs")("list_queues")["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert aws("stepfunctions")("list_state_machines")["stateMachines"] == []
    (form,) = [each.form for each in cloud.gate.asked if each.operation == "AssumeRole"]
    return form


def test_a_role_is_assumed_with_external_id_and_tags(cloud):
    form = asked(cloud, "production")
    assert (form["RoleArn"], form["ExternalId"]) == (ROLE, "git-pipeline")
    assert form["RoleSessionName"] == f"git-pipeline-{EXECUTION}"
    tags = {form[f"Tags.member.{number}.Key"]: form[f"Tags.member.{number}.Value"] for number in range(1, 6)}
    assert tags == {"pipeline": "release", "execution": EXECUTION, "stage": "test", "action": "build", "commit": COMMIT}


def test_a_role_is_assumed_without_them(cloud):
    form = asked(cloud, "plain")
    assert not [key for key in form if key.startswith(("Tags", "External"))]
