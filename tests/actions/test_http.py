"""`http` against a real server."""

from contextlib import contextmanager
from datetime import timedelta

import pytest

from agent.actions.http import HttpAction
from agent.actions.memory import Memory
from agent.actions.server import Server
from agent.config import Config, Secret
from agent.errors import RefusedError
from agent.model.outcome import Reason, Status
from agent.settings import Server as Section
from tests.support.attempts import Bench, using
from tests.support.web import Web


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


@pytest.fixture
def bench(tmp_path, web):
    bench = Bench(tmp_path)
    bench.config = Config(protected=("main",), servers={"hooks": Section(url=f"{web.url}/open/")})
    return bench


def call(bench, web, options=None, path="/open/hook", **more):
    return HttpAction().perform(using("http", {"url": web.url + path, **(options or {})}, **more), bench)


def test_what_was_asked_and_what_was_said(bench, web):
    outcome = call(
        bench, web, {"method": "POST", "body": "hello", "headers": {"X-Team": "a"}, "contains": "ok"}, "/open/hook?a=1"
    )
    assert outcome.succeeded, outcome.message
    assert outcome.outputs == {"status": "200", "body": "ok"}
    (asked,) = web.asked
    assert (asked.method, asked.path, asked.body, asked.headers["X-Team"]) == ("POST", "/open/hook?a=1", b"hello", "a")
    assert asked.headers["Idempotency-Key"]


@pytest.mark.parametrize("wanted", [{"status": "204"}, {"contains": "good"}, {"answers": {"state": "ready"}}])
def test_another_answer_than_expected_fails(bench, web, wanted):
    outcome = call(bench, web, wanted)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert outcome.outputs["status"] == "200"


def test_is_called_again_until_it_is_so(bench, web):
    web.answers.extend([(503, {}), (200, {})])
    assert call(bench, web, {"retries": "1"}).succeeded
    keys = {asked.headers["Idempotency-Key"] for asked in web.asked}
    assert (len(web.asked), len(keys)) == (2, 1)


def test_waits_where_it_is_asked_to_and_counts_no_try(bench, web):
    web.answers.extend([(503, {"Retry-After": "0"}), (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), (200, {})])
    assert call(bench, web).succeeded
    assert len(web.asked) == 3
    assert "asks to wait 0 s; trying again" in bench.log.notices[0]


def test_a_stop_ends_the_longest_wait_that_a_server_asks_for(bench, web):
    web.answers.append((503, {"Retry-After": "3600"}))
    bench.log.notice = lambda text: bench.stop.set()
    outcome = call(bench, web)
    assert (outcome.status, outcome.reason, len(web.asked)) == (Status.ABANDONED, Reason.STOPPED, 1)


class Killed(BaseException):
    """Stands for kill -9."""


def killed(bench, web, options, at):
    """The first worker does not get further than this."""
    answer, put = Server.ask, Memory.put

    @contextmanager
    def asked(*arguments):
        with answer(*arguments):
            raise Killed
        yield

    def remembered(memory, key, value):
        found = put(memory, key, value)
        if web.asked and key == "told":
            raise Killed
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Server, "ask", asked) if at == "answered" else patched.setattr(Memory, "put", remembered)
        with pytest.raises(Killed):
            call(bench, web, options)


@pytest.mark.parametrize("options", [{"method": "PUT"}, {"method": "POST", "idempotent": "true"}, {}], ids=str)
def test_killed_and_performed_again_it_is_known_as_the_same_call(bench, web, options):
    killed(bench, web, options, "answered")
    assert call(bench, web, options).succeeded
    assert (len(web.asked), len({asked.headers["Idempotency-Key"] for asked in web.asked})) == (2, 1)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_killed_before_it_knew_the_answer_to_what_may_be_done_twice_it_does_not_ask_again(bench, web, method):
    killed(bench, web, {"method": method, "retries": "3"}, "answered")
    outcome = call(bench, web, {"method": method, "retries": "3"})
    assert (outcome.status, outcome.reason, len(web.asked)) == (Status.FAILED, Reason.LOST, 1)
    assert f"the {method} was sent, and nobody knows what became of it: the agent ended" in outcome.message


@pytest.mark.parametrize("status", [200, 500])
def test_killed_when_it_knew_the_answer_it_does_not_ask_again(bench, web, status):
    web.answers.append((status, {}))
    for method in ("GET", "POST"):
        web.asked.clear()
        killed(bench, web, {"method": method}, "remembered")
        outcome = call(bench, web, {"method": method})
        assert (outcome.succeeded, outcome.outputs["status"], len(web.asked)) == (status == 200, str(status), 1)
        bench.root /= "next"
        web.answers.append((status, {}))


def test_a_line_that_breaks_is_tried_again_only_where_nothing_is_done_twice(bench, web):
    web.answers.append((0, {}))
    outcome = call(bench, web, {"method": "POST", "retries": "3"})
    assert (outcome.status, outcome.reason, len(web.asked)) == (Status.FAILED, Reason.LOST, 1)
    assert "no answer from 127.0.0.1" in outcome.message
    web.answers.extend([(0, {})] * 2)
    assert call(bench, web, {"method": "POST", "retries": "1", "idempotent": "true"}, number=2).reason is Reason.EXIT
    assert call(bench, web, {"method": "DELETE", "retries": "1"}, number=3).succeeded
    assert len(web.asked) == 4


def test_what_an_answer_asks_to_send_again_was_not_done(bench, web):
    web.answers.extend([(429, {"Retry-After": "0"}), (500, {}), (201, {})])
    assert call(bench, web, {"method": "POST", "retries": "1"}).outputs["status"] == "201"
    assert len(web.asked) == 3


def test_where_nobody_listens_nothing_was_sent(bench, web):
    web.close()
    outcome = call(bench, web, {"method": "POST", "retries": "1"})
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "trying again" in bench.log.data.decode()


def test_what_http_does_not_allow_is_never_sent(bench, web):
    outcome = call(bench, web, {"method": "POST", "headers": {"X-Team": "a\nb"}})
    assert (outcome.reason, len(web.asked)) == (Reason.EXIT, 0)
    assert "a character that HTTP does not allow" in outcome.message


def test_who_is_not_let_in_reads_what_the_server_says(bench, web):
    web.answers.append((401, {}))
    outcome = call(bench, web)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "answers 401, not 2xx: ok" in outcome.message


@pytest.mark.parametrize(("user", "login"), [("agent", "Basic YWdlbnQ6aHVudGVyMjI="), ("", "Bearer hunter22")])
def test_who_the_agent_is_stands_in_the_operators_file(bench, web, tmp_path, user, login):
    (tmp_path / "token").write_text("hunter22\n")
    (tmp_path / "token").chmod(0o600)
    server = Section(url=f"{web.url}/open/", user=user, secret="T", stages=("test",))
    bench.config = Config(protected=("main",), servers={"hooks": server}, secrets={"T": Secret(file="token", pipelines=())})
    assert call(bench, web).succeeded
    assert [asked.headers["Authorization"] for asked in web.asked] == [login]
    assert bench.hidden.text(f"hunter22, {login}") == f"***, {login.split()[0]} ***"
    for narrow in ({"stages": ("production",)}, {"pipelines": ("site",)}, {"refs": ("release/**",)}):
        bench.config = Config(protected=("main",), servers={"hooks": Section(url=f"{web.url}/open/", **narrow)})
        with pytest.raises(RefusedError, match="is not open to stage test of release"):
            call(bench, web, number=2)


def test_no_more_often_than_it_should(bench, web):
    web.answers.extend([(503, {}), (503, {}), (200, {})])
    assert "answers 503" in call(bench, web, {"retries": "1"}).message
    assert len(web.asked) == 2


def test_redirects_are_not_followed(bench, web):
    web.answers.append((302, {"Location": f"{web.url}/internal"}))
    assert "302" in call(bench, web).message
    assert len(web.asked) == 1


def test_a_secret_is_a_part_of_a_header_and_of_nothing_else(bench, web, tmp_path):
    (tmp_path / "TOKEN").write_text("hunter2\n")
    bench.secrets = lambda _: tmp_path
    headers = {"Authorization": "Bearer {TOKEN}", "X-Other": "{OTHER}"}
    outcome = call(bench, web, {"headers": headers, "body": "{TOKEN}"}, secrets={"TOKEN": ""})
    (asked,) = web.asked
    assert (asked.headers["Authorization"], asked.headers["X-Other"], asked.body) == ("Bearer hunter2", "{OTHER}", b"{TOKEN}")
    (tmp_path / "TOKEN").write_text("hun\nter2")
    outcome = call(bench, web, {"headers": headers}, secrets={"TOKEN": ""}, number=2)
    assert not outcome.succeeded
    assert "ter2" not in outcome.message + bench.log.data.decode()


@pytest.mark.parametrize(
    "path", ["/internal", "/open", "/open/../internal", "/open/%2e%2e/internal", "/open/\\..\\internal", "@127.0.0.1/open/"]
)
def test_nothing_is_sent_to_what_the_operator_does_not_open(bench, web, path):
    with pytest.raises(RefusedError, match="is not open to"):
        call(bench, web, path=path)
    assert not web.asked


def test_nothing_is_sent_for_a_ref_that_is_not_protected(bench, web):
    with pytest.raises(RefusedError, match="not protected"):
        call(bench, web, ref="refs/heads/topic")
    assert not web.asked


def test_ends_at_its_deadline_while_it_tries_again(bench, web):
    web.answers.extend([(503, {})] * 9)
    started = bench.now()
    ends = iter([started] * 2)
    bench.now = lambda: next(ends, started + timedelta(minutes=5))
    assert call(bench, web, {"retries": "9"}).reason is Reason.TIMEOUT
