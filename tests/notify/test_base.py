"""Which notice goes where."""

import pytest

from agent.config import parse
from agent.errors import ConfigError
from agent.notify.base import route, targets
from tests.support.notices import means, one

HEAD = "[secrets.S]\nfile = 's'\n"


def config(text):
    return parse({"config.toml": (HEAD + text).encode()})


def routed(text, notice):
    return list(route(targets(config(text)), notice))


def test_events_by_our_names_and_by_codepipelines():
    for events in ("execution.failed", "execution.*", "codepipeline-pipeline-pipeline-execution-failed", "*"):
        rule = f'[[notify]]\nevents = ["{events}"]\nwebhook = "https://example.com/x"\n'
        assert routed(rule, one("execution.failed")) == ["webhook https://example.com/x"]
        assert bool(routed(rule, one("stage.failed"))) is (events == "*")


def test_pipelines_and_refs():
    rule = '[[notify]]\nevents = ["*"]\ncommand = ["tell", "me"]\n'
    for more, goes in (
        ('pipelines = ["rel*"]', True),
        ('pipelines = ["site"]', False),
        ('refs = ["main"]', True),
        ('refs = ["refs/heads/*"]', True),
        ('refs = ["release/**"]', False),
    ):
        assert bool(routed(f"{rule}{more}\n", one("execution.started"))) is goes, more


def test_a_destination_of_two_rules_is_told_once():
    rule = '[[notify]]\nevents = ["*"]\nsns = "arn:aws:sns:eu-west-1:1:t"\n'
    assert routed(rule + rule, one("execution.started")) == ["sns arn:aws:sns:eu-west-1:1:t"]


def test_a_status_wants_what_changes_it():
    rule = '[[status]]\ngithub = "acme/site"\ntoken = "S"\n'
    assert routed(rule, one("execution.started")) == ["github acme/site"]
    assert routed(rule, one("approval.needed")) == ["github acme/site"]
    assert routed(rule, one("action.started")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[notify]]\nevents = ["execution.fail"]\nsns = "x"\n', "did you mean execution.failed"),
        ('[[notify]]\nevents = ["*"]\n', "exactly one of"),
        ('[[notify]]\nevents = ["*"]\nsns = "x"\nslack = "S"\n', "exactly one of"),
        ('[[notify]]\nevents = ["*"]\nslack = "MISSING"\n', "MISSING"),
        ('[[notify]]\nevents = ["*"]\nwebhook = "https://x"\nsecret = "MISSING"\n', "MISSING"),
        ('[[status]]\ngithub = "a/b"\ntoken = "MISSING"\n', "MISSING"),
        ('[[status]]\ntoken = "S"\n', "exactly one of"),
        ('[mail]\npassword = "MISSING"\n', "MISSING"),
    ],
)
def test_a_wrong_configuration_is_told(text, said):
    with pytest.raises(ConfigError, match=said):
        config(text)


def test_a_link_is_filled_in():
    link = "https://git.example.com/site/commit/{commit}?n={number}&p={pipeline}"
    notice = one("execution.started")
    expected = f"https://git.example.com/site/commit/{notice.execution.commit}?n=42&p=release"
    assert means(link=link).link_of(notice) == expected
    assert means().link_of(notice) == ""
