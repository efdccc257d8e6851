"""Notifiers as the configuration names them now, and those that others bring."""

from types import SimpleNamespace

import pytest

from agent import plugins
from agent.aws.session import Sessions
from agent.config import parse
from agent.errors import RefusedError
from agent.notify.base import NotDelivered
from agent.notify.webhook import WebhookNotifier
from agent.worker.messengers import Messengers
from tests.support.notices import one

WEBHOOK = '[[notify]]\nevents = ["*"]\nwebhook = "https://example.com"\n'
THEIRS = '[[notify]]\nevents = ["*"]\nuses = "pager"\noptions = {team = "web"}\n'


class Desk:
    """Messengers, and the text of a configuration that can be changed."""

    def __init__(self):
        self.text = ""
        self.messengers = Messengers(self.terms, Sessions(), {})

    def terms(self):
        config = parse({"config.toml": self.text.encode()})
        return SimpleNamespace(config=config, digest=self.text, secrets=SimpleNamespace(get=lambda name: b""))

    @property
    def keys(self):
        return [target.key for target in self.messengers.targets]


@pytest.fixture
def pager(tmp_path, monkeypatch):
    info = tmp_path / "pager-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pager\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[git_pipeline.notifiers]\npager = pager_of_a_test:Pager\n")
    code = "class Pager:\n    def __init__(self, rule, means):\n        self.rule, self.taken = rule, []\n"
    (tmp_path / "pager_of_a_test.py").write_text(code + "    def send(self, notice):\n        self.taken.append(notice)\n")
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (plugins._foreign, plugins.load):
        cached.cache_clear()
    yield
    for cached in (plugins._foreign, plugins.load):
        cached.cache_clear()


def test_one_is_made_once_and_anew_when_the_configuration_has_changed():
    desk = Desk()
    desk.text = WEBHOOK
    first = desk.messengers.of("webhook https://example.com")
    assert isinstance(first, WebhookNotifier)
    assert desk.messengers.of("webhook https://example.com") is first
    desk.text = "# changed\n" + WEBHOOK
    assert desk.messengers.of("webhook https://example.com") is not first


def test_one_that_is_not_named_any_more_is_refused():
    desk = Desk()
    desk.text = WEBHOOK
    assert desk.keys == ["webhook https://example.com"]
    desk.text = ""
    assert desk.keys == []
    with pytest.raises(NotDelivered) as caught:
        desk.messengers.of("webhook https://example.com")
    assert caught.value.refused


def test_a_plug_in(pager):
    desk = Desk()
    desk.text = THEIRS
    assert desk.keys == ["pager team=web"]
    notifier = desk.messengers.of("pager team=web")
    notifier.send(one("execution.started"))
    assert notifier.rule.options == {"team": "web"}
    assert [notice.event for notice in notifier.taken] == ["execution.started"]


def test_a_plug_in_that_is_not_there():
    desk = Desk()
    desk.text = THEIRS.replace("pager", "missing")
    with pytest.raises(RefusedError, match="no notifier missing"):
        desk.messengers.of("missing team=web")
