"""A repository that follows another: by hand, by signed webhooks, and through a queue."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from agent.cli.main import run
from agent.state.database import open_database
from agent.state.inbox import Inbox, Told
from agent.state.queue import Queue
from tests.support.installed import BAD, GOOD, Installed
from tests.support.repo import Repo

SECRET = b"between us"


class Pair(Installed):
    """As Installed, and another repository `theirs` that people push to."""

    def __init__(self, root):
        super().__init__(root / "ours")
        self.theirs = Repo(root / "theirs")
        key = self.directory / "hook"
        key.write_bytes(SECRET + b"\n")
        key.chmod(0o600)
        self.configure()

    def configure(self, more="", **fields):
        told = {"url": str(self.theirs.bare), "forge": "github", "secret": "HOOK"} | fields
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())
        text = f'linger = "0s"\n[secrets.HOOK]\nfile = "hook"\n[remotes.up]\n{lines}{more}'
        (self.directory / "config.toml").write_text(text)

    def mirror(self, *words):
        return self.call("mirror", "up", *words, "--repo", str(self.bare))

    def call(self, *words):
        return run([*words])

    def ref(self, name="refs/heads/main"):
        return self.git("rev-parse", "--verify", "-q", name, at=self.bare)

    def bring(self):
        """What is there so far, without starting anything."""
        self.theirs.commit_and_push({".pipeline/ci.yaml": GOOD})
        assert self.mirror() == 0


@pytest.fixture
def pair(tmp_path, monkeypatch):
    for name in ("HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"):
        if name in os.environ:
            monkeypatch.setenv(name, os.environ[name])
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    made = Pair(tmp_path)
    yield made
    made.close()


def test_the_first_time_nothing_starts_but_all_is_here(pair):
    pair.bring()
    assert pair.ref() == pair.theirs.head
    assert pair.labels == []
    pair.theirs.commit_and_push({"a": "1"})
    assert pair.mirror() == 0
    assert pair.labels == ["ci #1"]
    assert pair.ref() == pair.theirs.head
    assert pair.mirror() == 0
    assert pair.labels == ["ci #1"], "nothing has changed"


def test_what_is_wrong_is_refused_as_a_push_is(pair, capsys):
    pair.bring()
    good = pair.theirs.head
    pair.theirs.commit_and_push({".pipeline/ci.yaml": BAD})
    pair.theirs.git("push", "-q", "origin", f"{good}:refs/heads/fine")
    assert pair.mirror() == 1
    assert pair.ref() == good, "ours stays"
    assert pair.ref("refs/heads/fine") == good, "what is right comes"
    said = capsys.readouterr()
    assert "refs/heads/main refused" in said.err
    assert ".pipeline/ci.yaml:" in said.err
    assert "refs/heads/fine follows" in said.out


def test_a_rewritten_branch_is_followed(pair):
    pair.bring()
    pair.theirs.commit_and_push({"a": "1"})
    pair.mirror()
    pair.theirs.git("reset", "-q", "--hard", "HEAD~1")
    pair.theirs.commit({"b": "2"})
    pair.theirs.push(force=True)
    assert pair.mirror() == 0
    assert pair.ref() == pair.theirs.head


def test_only_wanted_refs_come(pair):
    pair.configure(refs=["main", "refs/tags/v*"])
    pair.theirs.commit_and_push({".pipeline/ci.yaml": GOOD})
    pair.theirs.tag("v1")
    pair.theirs.tag("nightly")
    pair.theirs.push("v1", "nightly", "HEAD:refs/heads/other")
    assert pair.mirror() == 0
    found = pair.git("for-each-ref", "--format=%(refname)", at=pair.bare).splitlines()
    assert [ref for ref in found if "/pipeline" not in ref] == ["refs/heads/main", "refs/tags/v1"]


def test_a_program_is_no_url(pair, capsys):
    pair.configure(url="ext::sh -c 'touch /tmp/git-pipeline-pwned'")
    assert pair.mirror() == 3
    assert "ext" in capsys.readouterr().err


def test_the_token_goes_by_the_environment_to_its_remote_alone(pair, web, capsys):
    web.answers.extend([(404, {})] * 3)
    pair.configure(url=f"{web.url}/acme/site.git", token="HOOK")
    assert pair.mirror() == 3
    given = base64.b64decode(web.asked[0].headers["Authorization"].removeprefix("Basic ")).decode()
    assert given == f"x-access-token:{SECRET.decode()}"
    said = capsys.readouterr()
    assert SECRET.decode() not in said.out + said.err


def test_a_remote_that_is_not_there(pair, capsys):
    pair.configure(url=str(pair.root / "nowhere"))
    assert pair.mirror() == 3
    assert "remotes.up" in capsys.readouterr().err
    assert run(["mirror", "down", "--repo", str(pair.bare)]) == 2


def webhook(pair, commit, delivery, *, secret=SECRET, ref="refs/heads/main"):
    body = json.dumps({"ref": ref, "after": commit, "sender": {"login": "octocat"}}).encode()
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {
        "HTTP_X_HUB_SIGNATURE_256": f"sha256={digest}", "HTTP_X_GITHUB_EVENT": "push", "HTTP_X_GITHUB_DELIVERY": delivery,
    }  # fmt: skip
    from agent.cli.main import program

    return CliRunner(env=headers).invoke(program, ["receive-webhook", "up", "--repo", str(pair.bare)], input=body)


def test_a_webhook_brings_what_it_names(pair):
    pair.bring()
    first = pair.theirs.commit_and_push({"a": "1"})
    second = pair.theirs.commit_and_push({"a": "2"})
    done = webhook(pair, first, "d-1")
    assert done.exit_code == 0, done.output
    assert pair.ref() == first, "the commit that was named, not what came after it"
    assert webhook(pair, second, "d-2").exit_code == 0
    assert pair.ref() == second
    assert pair.labels == ["ci #1", "ci #2"]
    assert "octocat at up" in pair.executions[0].body


def test_a_repetition_is_refused_and_an_old_one_moves_nothing(pair):
    pair.bring()
    first = pair.theirs.commit_and_push({"a": "1"})
    second = pair.theirs.commit_and_push({"a": "2"})
    assert webhook(pair, second, "d-2").exit_code == 0
    again = webhook(pair, second, "d-2")
    assert type(again.exception).__name__ == "RefusedError"
    assert webhook(pair, first, "d-1").exit_code == 0, "out of order"
    assert pair.ref() == second
    assert pair.labels == ["ci #1"]


def test_several_at_the_same_time(pair):
    pair.bring()
    commits = {f"refs/heads/b{number}": pair.theirs.commit({"a": str(number)}) for number in range(4)}
    pair.theirs.push(*(f"{commit}:{ref}" for ref, commit in commits.items()))
    running = []
    for number, (ref, commit) in enumerate(commits.items()):
        body = json.dumps({"ref": ref, "after": commit}).encode()
        digest = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        headers = (f"X-Hub-Signature-256: {digest}", "X-GitHub-Event: push", f"X-GitHub-Delivery: d-{number}")
        words = [word for header in headers for word in ("-H", header)]
        command = [sys.executable, "-m", "agent", "receive-webhook", "up", *words, "--repo", str(pair.bare)]
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        running[-1].stdin.write(body)
        running[-1].stdin.close()
    for process in running:
        said = process.stdout.read().decode()
        process.stdout.close()
        assert process.wait() == 0, said
    assert [pair.ref(ref) for ref in commits] == list(commits.values())
    assert len(pair.labels) == 4


def test_a_forgery_does_nothing(pair):
    pair.bring()
    commit = pair.theirs.commit_and_push({"a": "1"})
    assert "not signed" in str(webhook(pair, commit, "d-1", secret=b"guessed").exception)
    assert pair.labels == []


def test_a_webhook_that_was_cut_short_is_finished_by_the_timer(pair):
    pair.bring()
    commit = pair.theirs.commit_and_push({"a": "1"})
    database = open_database(str(pair.directory / "state.db"))
    Inbox(database).take(Told("up", "d-1", "2026-01-01T00:00:00+00:00", json.dumps([["refs/heads/main", commit, "x"]])))
    database.close()
    from agent.admin.timer import tick
    from agent.worker.wiring import clock, new_id

    lines = list(tick(pair.bare, clock(), new_id, sys.executable, pair.environment))
    assert any("follows" in line for line in lines)
    assert pair.labels == ["ci #1"]
    done = webhook(pair, commit, "d-1")
    assert "before" in str(done.exception)


# --- through a queue --------------------------------------------------------------------------------------------------

EVENTS = """
[listen]
queue = "{queue}"
[[sources]]
s3 = "in/builds/*.zip"
pipeline = "bundle"
branch = "main"
variables = {{bundle = "{{bucket}}/{{key}}@{{version}}"}}
[[sources]]
ecr = "acme/base:latest"
pipeline = "bundle"
branch = "main"
variables = {{bundle = "{{digest}}"}}
[[sources]]
event = "aws.events"
resource = "**rule/nightly"
pipeline = "bundle"
branch = "main"
[[sources]]
ecr = "acme/other:*"
pipeline = "nowhere"
branch = "main"
"""
BUNDLE = """\
triggers: []
variables: {bundle: {default: none}}
stages:
  - name: build
    actions:
      - {name: show, image: some/image, env: {B: "${{ variables.bundle }}"}, run: "echo $B"}
"""


@pytest.fixture
def queue(pair, cloud):
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="events", Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    pair.configure(EVENTS.format(queue=url), forge="codecommit", repository="site")
    pair.theirs.commit_and_push({".pipeline/bundle.yaml": BUNDLE, ".pipeline/ci.yaml": GOOD})
    assert pair.mirror() == 0

    def send(said, **attributes):
        told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(said) if isinstance(said, dict) else said, MessageAttributes=told)

    send.left = lambda: int(
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"]
    )
    return send


def listen(pair):
    return run(["listen", "--patience", "0", "--repo", str(pair.bare)])


def variables(pair):
    return [json.loads(row.body).get("variables", {}).get("bundle") for row in pair.executions]


def test_an_object_starts_a_pipeline_with_its_version_once(pair, queue, capsys):
    from tests.sources.test_events import S3

    for _ in range(2):
        queue(S3)
    queue({"Service": "Amazon S3", "Event": "s3:TestEvent"})
    queue("no json")
    assert listen(pair) == 0
    assert pair.labels == ["bundle #1"]
    assert variables(pair) == ["in/builds/a b+.zip@v7"]
    assert json.loads(pair.executions[0].body)["trigger"] == "event"
    assert queue.left() == 0
    assert "bundle #1 queued by s3 in/builds/a b+.zip" in capsys.readouterr().out


def test_an_image_and_a_schedule(pair, queue):
    from tests.sources.test_events import ECR, NIGHTLY

    queue(ECR)
    queue(NIGHTLY | {"id": "n-1"})
    queue(NIGHTLY | {"id": "n-2"})
    queue(NIGHTLY | {"id": "n-2"})
    assert listen(pair) == 0
    assert sorted(variables(pair)) == ["none", "none", "sha256:1"]


def test_a_change_in_codecommit_is_mirrored(pair, queue):
    from tests.sources.test_events import COMMIT

    commit = pair.theirs.commit_and_push({"a": "1"})
    queue(COMMIT | {"detail": COMMIT["detail"] | {"commitId": commit}})
    assert listen(pair) == 0
    assert pair.ref() == commit
    assert pair.labels == ["ci #1"]
    assert "alice at up" in pair.executions[0].body


def test_a_webhook_in_the_queue_must_be_signed_too(pair, queue, capsys):
    text = (pair.directory / "config.toml").read_text().replace('"codecommit"', '"github"')
    (pair.directory / "config.toml").write_text(text)
    commit = pair.theirs.commit_and_push({"a": "1"})
    body = json.dumps({"ref": "refs/heads/main", "after": commit})
    for key in (b"guessed", SECRET):
        digest = "sha256=" + hmac.new(key, body.encode(), hashlib.sha256).hexdigest()
        queue(body, **{"remote": "up", "X-Hub-Signature-256": digest, "X-GitHub-Event": "push", "X-GitHub-Delivery": "d-1"})
    assert listen(pair) == 0
    assert "not signed" in capsys.readouterr().out
    assert pair.labels == ["ci #1"]


def test_what_cannot_be_started_is_told(pair, queue, capsys):
    from tests.sources.test_events import ECR

    queue(ECR | {"detail": ECR["detail"] | {"repository-name": "acme/other"}})
    assert listen(pair) == 0
    assert "nowhere is not started: main has no such pipeline" in capsys.readouterr().out


def test_what_fails_for_now_stays_in_the_queue(pair, queue):
    from tests.sources.test_events import COMMIT

    pair.configure(EVENTS.format(queue=_queue(pair)), forge="codecommit", repository="site", url=str(pair.root / "nowhere"))
    queue(COMMIT)
    assert listen(pair) == 3
    database = open_database(str(pair.directory / "state.db"))
    assert len(Inbox(database).open()) == 1
    assert Queue(database).history() == ()
    database.close()


def _queue(pair):
    return (pair.directory / "config.toml").read_text().split('queue = "')[1].split('"')[0]


def test_without_a_queue_it_says_so(pair, capsys):
    assert listen(pair) == 2
    assert "[listen]" in capsys.readouterr().err


KILLED = """
import os, signal
from agent.{module} import {name}
former = {name}.{method}
def killed(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)
{name}.{method} = killed
from agent.cli.main import main
main()
"""


def killed_at(pair, module, name, method, *words, **more):
    """A command that is killed when it comes to this call."""
    script = KILLED.format(module=module, name=name, method=method)
    done = subprocess.run([sys.executable, "-c", script, *words, "--repo", str(pair.bare)], capture_output=True, **more)
    assert done.returncode == -9, done.stderr.decode()


@pytest.mark.parametrize(
    ("module", "name", "method"), [("sources.queue", "Queue", "delete"), ("state.queue", "Queue", "enqueue")]
)
def test_a_listener_that_is_killed_starts_nothing_twice_and_forgets_nothing(pair, queue, module, name, method):
    from tests.sources.test_events import S3

    queue(S3)
    killed_at(pair, module, name, method, "listen", "--patience", "0")
    queue(S3)  # as SQS shows it again
    assert listen(pair) == 0
    assert pair.labels == ["bundle #1"]


@pytest.mark.parametrize(("module", "name", "method"), [("state.inbox", "Inbox", "done"), ("admin.mirror", "Mirror", "_push")])
def test_a_webhook_that_is_killed_is_finished_once(pair, module, name, method):
    pair.bring()
    commit = pair.theirs.commit_and_push({"a": "1"})
    body = json.dumps({"ref": "refs/heads/main", "after": commit, "sender": {"login": "octocat"}}).encode()
    digest = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    headers = (f"X-Hub-Signature-256: {digest}", "X-GitHub-Event: push", "X-GitHub-Delivery: d-1")
    words = [word for header in headers for word in ("-H", header)]
    killed_at(pair, module, name, method, "receive-webhook", "up", *words, input=body)
    assert webhook(pair, commit, "d-1").exit_code == 0, "the forge sends it again"
    assert pair.labels == ["ci #1"]
    assert webhook(pair, commit, "d-1").exit_code == 1
