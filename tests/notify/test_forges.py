"""Commit statuses against a real web server that stands in for each forge."""

import base64
import json

import pytest

from agent import plugins
from agent.model.outcome import Status
from agent.notify.base import NotDelivered
from agent.settings import CommitStatus
from tests.contracts.notifiers import SECRET, NotifierContract
from tests.support.notices import asks, means, one, told
from tests.support.stories import COMMIT

PATHS = {
    "github": f"/repos/acme/site/statuses/{COMMIT}",
    "gitlab": f"/projects/acme%2Fsite/statuses/{COMMIT}",
    "bitbucket": f"/repositories/acme/site/commit/{COMMIT}/statuses/build",
}
WORDS = {  # started, needed, succeeded, failed, stopped, superseded
    "github": ["pending", "pending", "success", "failure", "error", "error"],
    "gitlab": ["running", "pending", "success", "failed", "canceled", "canceled"],
    "bitbucket": ["INPROGRESS", "INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED", "STOPPED"],
}


def made(kind, web, token=SECRET, **more):
    rule = CommitStatus(**{kind: "acme/site"}, token="T", api=web.url)
    return plugins.load("notifiers", kind)(rule, means({"T": token.encode()}, **more))


@pytest.fixture(params=sorted(PATHS))
def forge(request):
    return request.param


class TestForges(NotifierContract):
    @pytest.fixture
    def notifier(self, forge, web):
        self.web = web
        return made(forge, web)

    def arrived(self):
        return len(self.web.asked)

    def fail(self):
        self.web.answers.append((502, {}))

    def heal(self):
        self.web.answers.clear()


def test_the_words_of_each_forge(forge, web):
    notifier = made(forge, web)
    ends = [list(told(asks().finish(status)))[-1] for status in (Status.FAILED, Status.STOPPED, Status.SUPERSEDED)]
    for notice in (one("execution.started"), one("approval.needed"), one("execution.succeeded"), *ends):
        notifier.send(notice)
    assert [asked.path for asked in web.asked] == [PATHS[forge]] * 6
    assert [json.loads(asked.body)["state"] for asked in web.asked] == WORDS[forge]


def test_the_token_goes_as_each_wants_it(forge, web):
    made(forge, web).send(one("execution.started"))
    headers = web.asked[0].headers
    assert (headers.get("Private-Token") or headers.get("PRIVATE-TOKEN")) == SECRET if forge == "gitlab" else True
    assert headers.get("Authorization") == f"Bearer {SECRET}" if forge != "gitlab" else True


def test_a_password_of_bitbucket(web):
    made("bitbucket", web, "me:app-password").send(one("execution.started"))
    assert web.asked[0].headers["Authorization"] == f"Basic {base64.b64encode(b'me:app-password').decode()}"


def test_it_links_to_no_server_of_ours_unless_told(forge, web):
    made(forge, web).send(one("execution.started"))
    made(forge, web, link="https://git.example.com/{commit}").send(one("execution.started"))
    first, second = (json.loads(asked.body) for asked in web.asked)
    links = [body.get("target_url", body.get("url", "")) for body in (first, second)]
    assert links == [
        f"https://bitbucket.org/acme/site/commits/{COMMIT}" if forge == "bitbucket" else "",
        f"https://git.example.com/{COMMIT}",
    ]


def test_one_status_for_each_pipeline(forge, web):
    made(forge, web).send(one("execution.started"))
    body = json.loads(web.asked[0].body)
    assert body.get("context", body.get("name")) == "git-pipeline/release"


def test_a_commit_that_is_not_there_is_given_up(forge, web):
    web.answers.append((422, {}))
    with pytest.raises(NotDelivered) as caught:
        made(forge, web).send(one("execution.started"))
    assert caught.value.refused
    assert SECRET not in str(caught.value)
