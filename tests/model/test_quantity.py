"""Durations and sizes, as both pipeline files and the operator's have them."""

from datetime import timedelta

import pytest

from agent.config import Config, parse
from agent.errors import ConfigError
from agent.model.quantity import duration, size


def test_no_time_is_a_duration_too():
    assert duration("0s") == timedelta()
    assert duration("") is None
    assert size("") is None


def test_the_operator_writes_them_as_a_pipeline_does():
    found = parse({"config.toml": b'linger = "1m30s"\n[docker]\nmemory = "512m"\n[retention]\nartifacts = "7d"\n'})
    assert (found.linger, found.docker.memory) == (timedelta(seconds=90), 512 << 20)
    assert found.retention.artifacts == timedelta(days=7)
    assert parse({"config.toml": b'linger = "PT90S"\n[docker]\nmemory = 536870912\n'}).linger == found.linger


@pytest.mark.parametrize("text", ['linger = "soon"', '[docker]\nmemory = "much"', '[retention]\ncaches = "7 days ago"'])
def test_what_is_neither_is_refused(text):
    with pytest.raises(ConfigError):
        parse({"config.toml": text.encode()})


def test_a_configuration_is_restored_as_it_was():
    assert Config.model_validate_json(Config().model_dump_json()) == Config()
