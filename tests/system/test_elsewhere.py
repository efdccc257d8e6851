"""One real push whose actions go elsewhere: a build on a Jenkins, a call, pipelines of this repository and of another one."""

import json
from threading import Barrier

import pytest
from click.testing import CliRunner

from agent.cli.main import program
from tests.support.jenkins import Jenkins
from tests.support.working import Working

CONFIG = """\
linger = "PT0.3S"
concurrency = 1
protected = ["main"]
[local]
enabled = true
[secrets.TOKEN]
file = "token"
pipelines = []
[servers.ci]
url = "{jenkins}"
user = "agent"
secret = "TOKEN"
[servers.hooks]
url = "{web}/open/"
[repositories.infra]
path = "{infra}"
starts = ["roll-out"]
"""
RELEASE = """\
variables: {version: {default: "1.4"}}
stages:
  - name: elsewhere
    actions:
      - name: integration
        uses: jenkins
        outputs: [build, url, result]
        with: {server: ci, job: team/app, parameters: {VERSION: "${{ variables.version }}"}}
      - name: told
        uses: http
        with: {url: "URL/open/hook", method: POST, body: released}
  - name: live
    actions:
      - {name: site, uses: pipeline, with: {pipeline: site, variables: {build: "${{ integration.build }}"}}}
      - {name: fleet, uses: pipeline, with: {pipeline: roll-out, repository: infra, stop: true}}
"""
CALLS = """\
triggers: [{push: {branches: [main]}}]
stages:
  - name: calls
    actions:
      - {name: once, uses: http, with: {url: "URL/open/once", method: POST, retries: 3}}
      - {name: known, uses: http, with: {url: "URL/open/known", method: POST, idempotent: true}}
      - {name: put, uses: http, with: {url: "URL/open/put", method: PUT}}
"""


@pytest.fixture
def jenkins():
    server = Jenkins()
    server.looks = server.waits = 0
    server.console.insert(0, "asked by hunter22")
    yield server
    server.close()


@pytest.fixture
def pair(tmp_path, web, jenkins):
    """Ours and `infra`; what they start waits for the gates `page` and `hosts`."""
    ours, infra = Working(tmp_path / "ours"), Working(tmp_path / "infra")
    ours.configure(CONFIG.format(jenkins=jenkins.url, web=web.url, infra=infra.bare))
    token = ours.directory / "token"
    token.touch(0o600)
    token.write_text("hunter22\n")
    infra.commit_and_push({".pipeline/roll-out.yaml": f"triggers: []\nstages:\n{infra.stage('hosts')}"})
    site = ours.stage("page", ours.action("page", 'env: {BUILD: "${{ variables.build }}"}'))
    ours.commit({".pipeline/site.yaml": f"triggers: []\nvariables: {{build: {{}}}}\nstages:\n{site}"})
    ours.commit({".pipeline/release.yaml": RELEASE.replace("URL", web.url)})
    yield ours, infra
    ours.end()
    infra.end()


def call(*words):
    assert CliRunner().invoke(program, words, catch_exceptions=False).exit_code == 0


def is_published(repo):
    """Whether the notes tell all of what has happened."""
    row = repo.row()
    return row.published_seq == row.last_seq


def test_a_push_goes_elsewhere_once_also_if_its_worker_is_killed(pair, jenkins, web):
    ours, infra = pair
    jenkins.looks = -1
    ours.push("HEAD", options=("pipeline.detach",))
    ours.wait(lambda: "compiling…" in ours.feed(), "the build runs")
    ours.kill_worker()
    jenkins.looks = 0
    call("resume", str(ours.bare))
    ours.wait_until_runs("page")  # beside the two that wait for it and its like, in the one place that there is
    infra.wait_until_runs("hosts")
    ours.kill_worker()
    call("resume", str(ours.bare))
    ours.let("page")
    infra.let("hosts")
    ours.wait_for("Succeeded")
    ours.wait(lambda: is_published(ours), "its end is published")
    assert (ours.labels, infra.labels) == (["release #1", "site #1"], ["roll-out #1"])
    assert (jenkins.started(), [asked.body for asked in web.asked], ours.ran("page"), infra.ran("hosts")) == (
        1, [b"released"], ["1 1"], ["1 1"],
    )  # fmt: skip
    records = [json.loads(line) for line in ours.note("pipeline-record", ours.head).splitlines()]
    (release,) = [one for one in records if one["pipeline"] == "release"]
    (build,) = [a for stage in release["stages"] for a in stage["actions"] if a["name"] == "integration"]
    assert "jenkins.example.com/job/team/job/app/1/console" in json.dumps(build)
    log = ours.note("pipeline-log", ours.head).decode()
    assert log.count("asked by ***\nStarted by agent\ncompiling…\nFinished\n") == log.count("asked by") == 1
    assert "roll-out #1: Succeeded" in log


def test_a_stop_ends_elsewhere_what_it_should_and_nothing_else(pair):
    ours, infra = pair
    ours.push("HEAD", options=("pipeline.detach",))
    ours.wait_until_runs("page")
    infra.wait_until_runs("hosts")
    call("stop", "release", "--abandon", "--repo", str(ours.bare))
    ours.wait_for("Stopped")
    infra.wait(lambda: infra.row(1, "roll-out").status == "Stopped", "what it started in infra is stopped")
    assert ours.row(1, "site").status == "InProgress"
    ours.let("page")
    ours.wait(lambda: ours.row(1, "site").status == "Succeeded", "what it did not want to stop goes on")
    assert "site #1 goes on without us" in ours.feed()


def test_a_call_that_was_sent_by_a_killed_worker_is_sent_again_only_if_that_does_no_harm(tmp_path, web):
    """kill -9 once the server has all three, before any of them is answered."""
    repo = Working(tmp_path)
    repo.configure(f'linger = "PT0.3S"\nprotected = ["main"]\n[servers.hooks]\nurl = "{web.url}/open/"\n')
    killed = []
    together = Barrier(3, lambda: killed.append(repo.kill_worker()))
    web.before = lambda: together.wait(60)
    try:
        repo.commit_and_push({".pipeline/release.yaml": CALLS.replace("URL", web.url)})
        repo.wait(lambda: killed, "the worker is killed")
        web.before = lambda: None
        call("resume", str(repo.bare))
        repo.wait_for("Failed")
        repo.wait(lambda: is_published(repo), "its end is published")
    finally:
        repo.end()
    assert sorted(asked.path for asked in web.asked) == ["/open/known"] * 2 + ["/open/once"] + ["/open/put"] * 2
    assert len({asked.headers["Idempotency-Key"] for asked in web.asked}) == 3
    (stage,) = json.loads(repo.note("pipeline-record", repo.head))["stages"]
    ends = {action["name"]: (action["status"], action.get("reason", "")) for action in stage["actions"]}
    assert ends == {"once": ("Failed", "lost"), "known": ("Succeeded", ""), "put": ("Succeeded", "")}
