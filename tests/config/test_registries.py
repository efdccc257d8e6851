"""[builds], [registries.NAME] and `account` of config.toml: what can be said, and what is refused."""

import pytest

from agent.config import Config, parse, restore
from agent.errors import ConfigError

ACCOUNT = '[accounts.ops]\nrole = "arn:aws:iam::123456789012:role/ops"\nexternal_id = "us"\nregion = "eu-west-1"\n'
HEADS = ("[artifacts]", "[listen]", '[[notify]]\nname = "a"\ncommand = ["x"]')


def read(text: str) -> Config:
    return parse({"config.toml": text.encode()})


@pytest.mark.parametrize("head", HEADS)
def test_a_table_gets_what_its_account_has(head):
    text = f'{head}\naccount = "ops"\n'
    config = read(ACCOUNT + text)
    (found,) = [one for one in (config.artifacts, config.listen, *config.notify) if one.account]
    assert (found.role, found.external_id, found.region) == ("arn:aws:iam::123456789012:role/ops", "us", "eu-west-1")
    assert restore(config.model_dump_json()) == config
    with pytest.raises(ConfigError, match=r"no \[accounts.ops\]"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "[registries.a]",
        "[registries.a]\nrepositories = []",
        '[registries.a]\nrepositories = ["r/*"]\nuser = "ci"',
        '[registries.a]\nrepositories = ["r/*"]\nuser = "ci"\npassword = "NOBODY"',
        '[registries.a]\nrepositories = ["r/*"]\ncreate = true',
        '[registries.a]\nrepositories = ["r/*"]\naccount = "ops"\nuser = "ci"\npassword = "P"\n[secrets.P]\nfile = "p"',
        '[[notify]]\ncommand = ["x"]',
        '[[notify]]\nname = "a"\ncommand = ["x"]\n[[notify]]\nname = "a"\ncommand = ["y"]',
    ],
)
def test_what_is_no_sense_is_refused(text):
    with pytest.raises(ConfigError):
        read(text)
