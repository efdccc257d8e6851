"""Webhooks against a real web server."""

import hashlib
import hmac
import json

import pytest

from agent.notify.base import NotDelivered
from agent.notify.webhook import WebhookNotifier
from agent.settings import Notify
from tests.contracts.notifiers import SECRET, NotifierContract
from tests.support.notices import means, one


class TestWebhook(NotifierContract):
    @pytest.fixture
    def notifier(self, web):
        self.web = web
        return made(web)

    def arrived(self):
        return len(self.web.asked) - self.failed if hasattr(self, "failed") else len(self.web.asked)

    def fail(self):
        self.failed = 1
        self.web.answers.append((503, {}))

    def heal(self):
        self.web.answers.clear()


def made(web, **more):
    rule = Notify(events=("*",), webhook=f"{web.url}/hook", secret="S", **more)
    return WebhookNotifier(rule, means({"S": SECRET.encode()}))


def test_the_body_is_signed_and_named(web):
    made(web).send(one("execution.failed"))
    asked = web.asked[0]
    digest = hmac.new(SECRET.encode(), asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["X-Hub-Signature-256"] == f"sha256={digest}"
    assert asked.headers["X-Git-Pipeline-Event"] == "execution.failed"
    assert asked.headers["X-Git-Pipeline-Delivery"] == json.loads(asked.body)["id"] == one("execution.failed").id
    assert asked.path == "/hook"


def test_the_url_may_be_a_secret(web):
    rule = Notify(events=("*",), webhook="URL")
    WebhookNotifier(rule, means({"URL": f"{web.url}/of-a-secret\n".encode()})).send(one("execution.started"))
    assert web.asked[0].path == "/of-a-secret"
    assert "X-Hub-Signature-256" not in web.asked[0].headers


@pytest.mark.parametrize(
    ("status", "headers", "refused", "after"),
    [
        (400, {}, True, 0),
        (404, {}, True, 0),
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}, True, 0),
        (408, {}, False, 0),
        (429, {"Retry-After": "17"}, False, 17),
        (500, {}, False, 0),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, False, 0),
    ],
)
def test_what_an_answer_means(web, status, headers, refused, after):
    web.answers.append((status, headers))
    with pytest.raises(NotDelivered, match=str(status)) as caught:
        made(web).send(one("execution.started"))
    assert (caught.value.refused, caught.value.after) == (refused, after)
    assert len(web.asked) == 1, "a redirect is not followed"


def test_nobody_listens(web):
    notifier = made(web)
    web.close()
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1") as caught:
        notifier.send(one("execution.started"))
    assert not caught.value.refused


def test_no_message_holds_the_path_of_a_url(web):
    web.answers.append((500, {}))
    rule = Notify(events=("*",), webhook="URL")
    with pytest.raises(NotDelivered) as caught:
        WebhookNotifier(rule, means({"URL": f"{web.url}/T00/B00/{SECRET}".encode()})).send(one("execution.started"))
    assert SECRET not in str(caught.value)
