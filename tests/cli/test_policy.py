"""What the operator reads of a configuration is what the agent does with it."""

import pytest

from agent.cli.main import run

CONFIG = """
protected = ["main", "release/**", "refs/tags/v*"]
[docker]
images = ["python:*"]
network = false
[people.alice]
keys = []
roles = ["qa-lead"]
[people.bob]
roles = ["operator"]
[hosts.web]
addresses = ["192.0.2.1"]
stages = ["production"]
[secrets.TOKEN]
environment = "GIT_PIPELINE_TOKEN"
pipelines = ["release"]
[accounts.prod]
role = "arn:aws:iam::123456789012:role/deploy"
regions = ["eu-*"]
stages = ["production"]
[servers.ci]
url = "https://jenkins.example.com/"
user = "agent"
secret = "TOKEN"
refs = ["main", "release/**", "refs/tags/v1"]
"""


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/config.toml").write_text(CONFIG)
    return tmp_path


def explain(capsys, repository, *arguments: str) -> tuple[int, str]:
    code = run(["policy", "explain", str(repository), *arguments])
    told = capsys.readouterr()
    return code, told.out + told.err


@pytest.mark.parametrize("ref", ["main", "release/1/x", "refs/tags/v1"])
def test_a_protected_ref(capsys, repository, ref):
    code, text = explain(capsys, repository, "--ref", ref)
    assert code == 0
    assert "is protected (protected: main, release/**, refs/tags/v*)" in text
    assert "secret TOKEN: pipelines release; stages *" in text
    assert "hosts web: pipelines *; stages production" in text
    account = "AWS account prod: arn:aws:iam::123456789012:role/deploy; regions eu-*; pipelines *; stages production"
    assert account in text
    assert "server ci: https://jenkins.example.com/; pipelines *; stages *" in text
    _, text = explain(capsys, repository, "--ref", "refs/tags/v2")
    assert "server ci: https://jenkins.example.com/; never, as it is for main, release/**, refs/tags/v1" in text


def test_an_unprotected_ref(capsys, repository):
    _, text = explain(capsys, repository, "--ref", "feature")
    assert "refs/heads/feature is not protected" in text
    assert "secret TOKEN: never, as the ref is not protected" in text
    assert "hosts web: never, as the ref is not protected" in text
    assert "AWS account prod: never, as the ref is not protected" in text
    assert "server ci: never, as the ref is not protected" in text
    assert "images python:*; network never" in text
    assert "local processes: never" in text


def test_a_person(capsys, repository):
    _, text = explain(capsys, repository, "--as", "alice")
    assert "alice: roles qa-lead; 0 keys\n  may steer nothing\n  may approve what asks for alice or qa-lead\n" in text
    _, text = explain(capsys, repository, "--as", "bob")
    assert "may stop, retry, rollback, disable, enable, override, start" in text


def test_nobody_of_this_name(capsys, repository):
    code, text = explain(capsys, repository, "--as", "mallory")
    assert code == 1
    assert "does not know mallory" in text
    assert "it knows alice, bob" in text
