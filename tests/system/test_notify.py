"""A real push, a real worker and a real web server: who is told what, and that a killed worker forgets nobody."""

import json

import pytest

from agent.state.database import open_existing
from agent.state.outbox import Outbox
from tests.support.faults import record
from tests.support.system import System
from tests.support.working import CONFIG, Working

RULE = '[[notify]]\nevents = ["execution.*", "approval.needed", "stage.failed"]\nwebhook = "{url}/hook"\nsecret = "KEY"\n'
STATUS = '[[status]]\ngithub = "acme/site"\napi = "{url}/api"\ntoken = "KEY"\n'
ASKS = """\
triggers: [{push: {branches: [main]}}]
stages:
  - name: sign-off
    actions:
      - {name: qa, approval: {by: [qa-lead], message: Look at staging}}
"""
TELLS = """\
stages:
  - name: tell
    actions:
      - {name: team, uses: notify, with: {to: team, message: "this is ${{ execution.number }}"}}
"""


@pytest.fixture
def repo(tmp_path, web):
    made = Working(tmp_path)
    (made.directory / "key").chmod(0o600)
    secret = made.directory / "hook-key"
    secret.write_text("s3cr3t\n")
    secret.chmod(0o600)
    made.configure(CONFIG + "[secrets.KEY]\nfile = 'hook-key'\n" + RULE.format(url=web.url) + STATUS.format(url=web.url))
    yield made
    made.end()


def outbox(repo):
    database = open_existing(str(repo.directory / "state.db"))
    try:
        return Outbox(database).heads(), Outbox(database).given_up()
    finally:
        database.close()


def told(web):
    return [json.loads(asked.body)["event"] for asked in web.asked if asked.path == "/hook"]


def states(web):
    return [json.loads(asked.body)["state"] for asked in web.asked if asked.path.startswith("/api/repos/acme/site/statuses/")]


def release(repo, *, code=0):
    head = "triggers: [{push: {branches: [main]}}]\n"
    repo.let("build", code)
    repo.commit_release(repo.stage("build"), head=head)


def test_a_push_is_told_from_start_to_end(repo, web):
    release(repo)
    web.wait(4)
    assert told(web) == ["execution.started", "execution.succeeded"]
    assert states(web) == ["pending", "success"]
    repo.wait(lambda: not outbox(repo)[0], "all is delivered")


def test_a_failure_and_who_failed(repo, web):
    release(repo, code=3)
    web.wait(5)
    assert told(web) == ["execution.started", "stage.failed", "execution.failed"]
    last = json.loads([asked for asked in web.asked if asked.path == "/hook"][-1].body)
    assert last["failures"] == [{"stage": "build", "action": "build", "message": last["failures"][0]["message"]}]


def test_an_approval_is_asked_for(repo, web):
    repo.commit_and_push({".pipeline/release.yaml": ASKS})
    repo.wait(lambda: "approval.needed" in told(web), "somebody is asked")
    asked = next(json.loads(each.body) for each in web.asked if each.path == "/hook" and b"approval.needed" in each.body)
    assert asked["approval"]["message"] == "Look at staging"
    assert "approve/release/1/sign-off" in asked["text"]


def test_a_slow_receiver_delays_no_execution(repo, web):
    import threading

    go = threading.Event()
    web.before = lambda: go.wait(60)
    try:
        release(repo)
        repo.wait_for("Succeeded")
        assert outbox(repo)[0], "nothing is delivered yet"
    finally:
        go.set()
    repo.wait(lambda: not outbox(repo)[0], "all is delivered")


def test_a_worker_that_is_killed_while_it_tells_tells_again(repo, web):
    killed = []

    def kill():
        if not killed:
            killed.append(True)
            repo.kill_worker()

    web.before = kill
    release(repo)
    repo.wait(lambda: killed, "the worker is killed")
    web.before = lambda: None
    repo.wait(lambda: not repo.workers, "it is dead")
    from click.testing import CliRunner

    from agent.cli.main import program

    CliRunner().invoke(program, ["resume", str(repo.bare)], catch_exceptions=False)
    repo.wait_for("Succeeded")
    repo.wait(lambda: not outbox(repo)[0], "all is delivered")
    ids = [asked.headers["X-Git-Pipeline-Delivery"] for asked in web.asked if asked.path == "/hook"]
    assert list(dict.fromkeys(told(web))) == ["execution.started", "execution.succeeded"]
    assert len(set(ids)) == 2, "a repetition has the same id"
    assert states(web)[-1] == "success"


def test_what_is_refused_is_seen_and_keeps_nothing_else(repo, web):
    web.answers.extend([(410, {})] * 10)
    release(repo)
    repo.wait_for("Succeeded")
    repo.wait(lambda: not outbox(repo)[0], "all is given up")
    from click.testing import CliRunner

    from agent.cli.main import program

    assert len(outbox(repo)[1]) == 4
    said = CliRunner().invoke(program, ["doctor", str(repo.bare)]).output
    assert "never took execution.succeeded of release #1" in said
    said = CliRunner().invoke(program, ["status", "--repo", str(repo.bare)])
    assert "not delivered to" in said.output


def test_a_pipeline_sends_a_message(repo, web):
    repo.configure(f'protected = ["main"]\n{CONFIG}[[notify]]\nname = "team"\nwebhook = "{web.url}/team"\n')
    repo.commit_and_push({".pipeline/release.yaml": TELLS})
    repo.wait_for("Succeeded")
    repo.wait(lambda: web.asked and not outbox(repo)[0], "it is delivered")
    (told,) = web.asked
    body = json.loads(told.body)
    assert (told.path, told.headers["X-Git-Pipeline-Event"], body["message"]) == ("/team", "message.sent", "this is 1")


@pytest.mark.parametrize(
    "point",
    [
        "Outbox.add 1 before",
        "Outbox.add 1 after",
        "Deliveries.send 1 after",
        "Outbox.delivered 1 before",
        "Outbox.delivered 1 after",
    ],
)
def test_a_worker_that_is_killed_while_it_sends_a_message_queues_it_once(made: System, web, point):
    made.configure(f'protected = ["main"]\n[[notify]]\nname = "team"\nwebhook = "{web.url}/team"\n')
    made.commit({".pipeline/release.yaml": TELLS})
    made.queued()
    assert made.work(at=point) == -9
    assert made.work() == 0, made.log
    assert record(made)["status"] == "Succeeded"
    database = open_existing(str(made.directory / "state.db"))
    try:
        assert Outbox(database).heads() == ()
        assert database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'") == [(1,)]  # how many there ever were
    finally:
        database.close()
    assert len({asked.headers["X-Git-Pipeline-Delivery"] for asked in web.asked}) == 1
    assert point != "Outbox.delivered 1 before" or len(web.asked) == 2  # it may well come again, as the same one
