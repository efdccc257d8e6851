"""A push deploys to real sshd processes: through the hooks, the worker, the note, and `git pipeline deployments`."""

import json
import subprocess
import sys

import pytest

from tests.support.farm import Farm, leading_to
from tests.support.repo import Repo

PIPELINE = """\
stages:
  - name: production
    actions:
      - name: web
        env: {GREETING: hello}
        deploy:
          to: web
          strategy: one-at-a-time
          path: /srv/web
          start: echo "$GREETING $(cat version) on $(hostname)"
          health: {command: "! grep -q bad /srv/web/current/version", retries: 1}
"""


@pytest.fixture
def farm(tmp_path):
    farm = Farm(tmp_path / "farm")
    for _ in range(2):
        farm.host()
    yield farm
    farm.close()


@pytest.fixture
def repo(tmp_path, farm):
    repo = Repo(tmp_path)
    repo.environment |= {"GIT_PIPELINE_REPOSITORIES": str(tmp_path / "repositories")}
    agent(repo, "install", str(repo.bare))
    (repo.bare / "pipeline" / "config.toml").write_text(f"""
linger = 0
protected = ["main"]
[hosts.web]
user = "root"
{leading_to({host.name: host for host in farm.hosts}, farm.key)}
""")
    return repo


def agent(repo, *words, check=True):
    command = [sys.executable, "-I", "-m", "agent", *words]
    return subprocess.run(command, env=repo.environment, check=check, capture_output=True, text=True, cwd=repo.bare)


def action(repo):
    record = json.loads(repo.note("refs/notes/pipeline-record", repo.head).splitlines()[-1])
    return record["stages"][0]["actions"][0]


def test_a_push_deploys_and_a_bad_one_comes_back(repo, farm):
    repo.commit({".pipeline/release.yaml": PIPELINE, "version": "one"})
    said = repo.push("main")
    assert "hello one on h1" in str(said)
    good = action(repo)
    assert (good["status"], good["message"]) == ("Succeeded", "2/2 hosts")
    asked = agent(repo, "deployments", "--ask")
    assert asked.stdout.count("release #1  succeeded") == 2
    assert "DRIFT" not in asked.stdout

    repo.commit({"version": "bad"})
    repo.push("main")
    bad = action(repo)
    assert bad["status"] == "Failed"
    assert bad["message"] == "0/2 hosts, h1: health check failed: the command ended with exit code 1; rolled back: h1"
    history = agent(repo, "deployments", "web").stdout
    assert history.startswith("web:/srv/web\n")
    assert [line.split("release #")[1].split()[0] for line in history.splitlines()[1:]] == ["2", "1"]

    host = farm.hosts[1]
    (host.root.parent / "srv/web/current").unlink()
    asked = agent(repo, "deployments", "--ask", check=False)
    assert asked.returncode == 1
    assert "h2  nothing is deployed there" in asked.stdout
    for each in farm.hosts:
        assert not list(each.jobs.iterdir())


def test_hosts_are_not_for_unprotected_refs(repo, farm):
    repo.commit({".pipeline/release.yaml": PIPELINE, "version": "one"})
    repo.push("main:topic")
    found = action(repo)
    assert (found["status"], found["reason"]) == ("Failed", "policy")
    assert not (farm.hosts[0].root.parent / "srv/web").exists()
