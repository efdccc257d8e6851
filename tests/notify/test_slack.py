"""Slack-compatible webhooks against a real web server."""

import json

import pytest
from msgspec.structs import replace

from agent.notify.slack import SlackNotifier
from agent.settings import Notify
from tests.contracts.notifiers import SECRET, NotifierContract
from tests.support.notices import means, one


class TestSlack(NotifierContract):
    @pytest.fixture
    def notifier(self, web):
        self.web = web
        return made(web)

    def arrived(self):
        return len(self.web.asked)

    def fail(self):
        self.web.answers.append((429, {"Retry-After": "1"}))

    def heal(self):
        self.web.answers.clear()


def made(web):
    return SlackNotifier(Notify(events=("*",), slack="URL"), means({"URL": f"{web.url}/{SECRET}".encode()}))


def test_what_is_said(web):
    made(web).send(one("execution.failed"))
    message = json.loads(web.asked[0].body)
    assert message["text"] == "*release #42 failed*"
    assert "failed: build/unit: exit code 2" in message["attachments"][0]["text"]
    assert message["attachments"][0]["color"] == "#e01e5a"


def test_a_push_cannot_call_everybody(web):
    made(web).send(replace(one("execution.failed"), lines=("<!channel> & <https://evil.example.com|click>",)))
    assert "<" not in web.asked[0].body.decode()
