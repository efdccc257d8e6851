"""[hosts.NAME] of config.toml: what can be said of a group of hosts, and what is refused."""

import pytest

from agent.admin.install import template
from agent.config import Config, Ec2, HostGroup, parse
from agent.errors import ConfigError
from agent.executors.fleet import static


def read(text: str) -> Config:
    return parse({"config.toml": text.encode()})


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (
            '["10.0.1.11", "web2.example.com:2222"]',
            [("10.0.1.11", "10.0.1.11", 0), ("web2.example.com-2222", "web2.example.com", 2222)],
        ),
        ('{web-1 = "10.0.1.11", web-2 = "10.0.1.12:2200"}', [("web-1", "10.0.1.11", 0), ("web-2", "10.0.1.12", 2200)]),
        (
            '["2001:db8::7", "[2001:db8::8]:2222"]',
            [("2001-db8--7", "2001:db8::7", 0), ("2001-db8--8--2222", "2001:db8::8", 2222)],
        ),
    ],
)
def test_addresses(addresses: str, expected: list):
    group = read(f"[hosts.web]\naddresses = {addresses}").hosts["web"]
    assert [(host.name, host.address, host.port) for host in static(group)] == expected


def test_one_place_in_ec2_or_several():
    place = '{region = "eu-west-1", tags = {Role = "web", Stage = ["blue", "green"]}}'
    one = Ec2(region="eu-west-1", tags={"Role": "web", "Stage": ("blue", "green")})
    for text, expected in ((place, (one,)), (f"[{place}, {place}]", (one, one))):
        assert read(f"[hosts.fleet]\nec2 = {text}").hosts["fleet"].ec2 == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[hosts.web]\nuser = 'x'", "a group needs `addresses`, `ec2` or `fleets`"),
        ("[hosts.web]\naddresses = ['a']\nport = 70000", "hosts.web.port"),
        ("[hosts.web]\naddresses = ['a']\nuesr = 'x'", "unknown key hosts.web.uesr"),
        ("[hosts.web]\naddresses = {'a/b' = 'x'}", "hosts.web.addresses"),
        ("[hosts.'../web']\naddresses = ['a']", "hosts"),
        ("[hosts.web]\nec2 = {region = 'eu-west-1', tags = {}, address = 'ipv6'}", "hosts.web.ec2.0.address"),
    ],
)
def test_what_is_refused(text: str, told: str):
    with pytest.raises(ConfigError, match=told):
        read(text)


def test_the_written_configuration_shows_every_key_and_the_defaults():
    section = template("config.toml").partition("# [hosts.web]\n")[2].partition("\n\n")[0]
    text = "\n".join(line.removeprefix("# ") for line in section.splitlines())
    shown = read(f"[hosts.web]\n{text}").hosts["web"]
    assert shown.model_fields_set == set(HostGroup.model_fields)
    examples = {"addresses", "ec2", "user", "port", "key", "host_keys", "balancer"}
    assert shown.model_dump(exclude=examples) == HostGroup(addresses=("a",)).model_dump(exclude=examples)
