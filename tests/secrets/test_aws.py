"""Secrets in AWS, over HTTP from moto's server: of Systems Manager and of Secrets Manager, and what is said when they fail."""

import json
import subprocess
import sys

import boto3
import pytest

from agent.config import Secret, parse
from agent.errors import EnvironmentFault
from agent.worker.sources import secrets_of

VALUE = 's3cr3t/va+lue"42'


@pytest.fixture
def get(cloud, tmp_path):
    """Get a secret that the configuration describes, as the worker does."""

    def get(**section):
        text = "[secrets.T]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
        return secrets_of(tmp_path, parse({"config.toml": text.encode()}), {}).get("T")

    return get


@pytest.fixture
def parameters(cloud):
    return boto3.client("ssm")


@pytest.fixture
def manager(cloud):
    return boto3.client("secretsmanager")


def test_a_parameter_comes_decrypted(parameters, get):
    parameters.put_parameter(Name="/release/token", Value=VALUE, Type="SecureString")
    assert get(ssm="/release/token") == VALUE.encode()
    parameters.put_parameter(Name="/release/token", Value="other", Type="SecureString", Overwrite=True)
    assert get(ssm="/release/token") == b"other"
    assert get(ssm="/release/token:1") == VALUE.encode()  # a version, as AWS writes it


def test_a_secret_of_the_manager_whole_and_by_key(manager, get):
    body = {"token": VALUE, "port": 5432, "nested": {"a": 1}}
    arn = manager.create_secret(Name="release/npm", SecretString=json.dumps(body))["ARN"]
    manager.create_secret(Name="release/binary", SecretBinary=b"\x00\xff\x01")
    assert json.loads(get(secretsmanager="release/npm")) == body
    assert get(secretsmanager="release/npm:token") == VALUE.encode()
    assert get(secretsmanager=f"{arn}:token") == VALUE.encode()
    assert json.loads(get(secretsmanager=arn)) == body
    assert get(secretsmanager="release/npm:port") == b"5432"
    assert json.loads(get(secretsmanager="release/npm:nested")) == {"a": 1}
    assert get(secretsmanager="release/binary") == b"\x00\xff\x01"


@pytest.mark.parametrize("body", ["no json", "[1]", '{"other": 1}', '"text"', "5"])
def test_a_key_that_is_not_there_tells_no_value(manager, get, body):
    manager.create_secret(Name="release/npm", SecretString=body)
    with pytest.raises(EnvironmentFault, match="secret T: it is no JSON object with the key token") as caught:
        get(secretsmanager="release/npm:token")
    assert body not in f"{caught.value}{caught.value.__cause__}"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("section", "code"),
    [({"ssm": "/nothing"}, "ParameterNotFound"), ({"secretsmanager": "nothing"}, "ResourceNotFoundException")],
)
def test_one_that_is_missing(get, section, code):
    with pytest.raises(EnvironmentFault, match="secret T: ") as caught:
        get(**section)
    assert caught.value.hint == f"AWS says {code}"


def test_one_that_was_deleted(manager, get):
    manager.create_secret(Name="release/npm", SecretString=VALUE)
    manager.delete_secret(SecretId="release/npm")
    with pytest.raises(EnvironmentFault, match=r"secret T: .*marked deleted"):
        get(secretsmanager="release/npm")


@pytest.mark.parametrize("section", [{"ssm": "/release/token"}, {"secretsmanager": "release/npm"}])
def test_who_may_not_read_it_is_told_so(cloud, parameters, manager, get, monkeypatch, section):
    """A user of IAM without any policy."""
    parameters.put_parameter(Name="/release/token", Value=VALUE, Type="SecureString")
    manager.create_secret(Name="release/npm", SecretString=VALUE)
    iam = boto3.client("iam")
    iam.create_user(UserName="agent")
    key = iam.create_access_key(UserName="agent")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    with cloud.judged(), pytest.raises(EnvironmentFault, match=r"(?s)secret T: .*user/agent is not authorized to perform: "):
        get(**section)


def test_a_role_of_another_account_in_another_region(cloud, get):
    role = "arn:aws:iam::210987654321:role/reader"
    sts = boto3.client("sts")
    given = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    there = boto3.client(
        "ssm",
        region_name="us-east-2",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    there.put_parameter(Name="/token", Value=VALUE, Type="SecureString")
    assert get(ssm="/token", region="us-east-2", role=role) == VALUE.encode()
    with pytest.raises(EnvironmentFault):
        get(ssm="/token", region="us-east-2")
    with pytest.raises(EnvironmentFault):
        get(ssm="/token", role=role)


def test_under_load_it_is_asked_again(cloud, parameters, get, monkeypatch):
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    parameters.put_parameter(Name="/token", Value=VALUE, Type="SecureString")

    def asked():
        return [each.operation for each in cloud.gate.asked].count("GetParameter")

    cloud.gate.busy = 2
    assert get(ssm="/token") == VALUE.encode()
    assert asked() == 3
    cloud.gate.busy = 1000
    with pytest.raises(EnvironmentFault, match="secret T: Rate exceeded") as caught:
        get(ssm="/token")
    assert caught.value.hint == "AWS says ThrottlingException"
    assert asked() == 3 + 6


def test_nobody_answers(cloud, get, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentFault, match=r"secret T: Could not connect") as caught:
        get(ssm="/token")
    assert "is AWS reachable" in caught.value.hint


def test_boto3_is_loaded_with_the_first_secret_in_aws_and_not_before(tmp_path):
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "token").chmod(0o600)
    program = (
        "import sys; from pathlib import Path; from agent.config import parse; from agent.worker.sources import secrets_of\n"
        "config = parse({'c': b'[secrets.T]\\nfile = \"token\"\\n[secrets.S]\\nssm = \"/s\"\\n'})\n"
        f"assert secrets_of(Path({str(tmp_path)!r}), config, {{}}).get('T') == b's3cret'\n"
        "assert not {'boto3', 'botocore', 'agent.secrets.aws'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_exactly_one_source():
    with pytest.raises(ValueError, match="exactly one of file, environment, ssm, secretsmanager"):
        Secret(ssm="/a", file="b")
