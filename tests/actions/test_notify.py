"""`notify`: what is queued, and for whom. tests/system/test_notify.py has it delivered."""

import pytest

from agent.actions.notify import NotifyAction
from agent.config import Config
from agent.errors import DefinitionError, RefusedError
from agent.notify import payload
from tests.support.attempts import Bench, using

TEAM = {"name": "team", "command": ["true"]}


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.config = Config.model_validate({"protected": ["main"], "notify": [TEAM]})
    return bench


def perform(bench, options=None, **more):
    return NotifyAction().perform(using("notify", {"to": "team", "message": "Look\nat it", **(options or {})}, **more), bench)


def test_what_is_sent(bench):
    assert perform(bench, {"subject": "Stagïng"}).succeeded
    assert perform(bench, {"subject": "Stagïng"}).succeeded  # as after a crash
    perform(bench, number=2)
    first = bench.sent[0]
    assert [notice.id == first.id for notice in bench.sent] == [True, True, False]
    assert payload.subject(first) == "Stag?ng"
    assert payload.subject(bench.sent[-1]) == "release #7: test/build"
    assert payload.text(first, "").startswith("Look\nat it\ncommit 111")
    assert payload.document(first, "")["message"] == "Look\nat it"
    assert payload.detail(first, "eu-west-1")["message"] == "Look\nat it"
    assert payload.processed(first, "", "")["detailType"] == "Pipeline Message"


def test_it_must_say_something(bench):
    with pytest.raises(DefinitionError):
        perform(bench, {"message": ""})


@pytest.mark.parametrize(
    ("rule", "options", "ref"),
    [
        ({}, {"to": "boss"}, "refs/heads/main"),
        ({}, {}, "refs/heads/topic"),
        ({"stages": ["live"]}, {}, "refs/heads/main"),
        ({"pipelines": ["other"]}, {}, "refs/heads/main"),
        ({"refs": ["release/*"]}, {}, "refs/heads/main"),
    ],
)
def test_only_to_whom_the_operator_lets_it(bench, rule, options, ref):
    bench.config = Config.model_validate({"protected": ["main"], "notify": [{**TEAM, **rule}]})
    with pytest.raises(RefusedError):
        perform(bench, options, ref=ref)
    assert bench.sent == []
