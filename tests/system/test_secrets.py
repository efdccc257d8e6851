"""A secret reaches the action that names it on a protected ref, and nothing else: no log, no note, no database, no other ref."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repo import Repo

SECRET = 's3cr3t/va+lue"42'
PIPELINE = """\
triggers: [{push: {branches: ["**"]}}]
defaults: {runner: local}
stages:
  - name: release
    actions:
      - name: publish
        secrets: {TOKEN: NPM_TOKEN}
        outputs: [length]
        run: |
          echo "plain: $NPM_TOKEN"
          printf %s "user:$NPM_TOKEN" | base64
          cat "$PIPELINE_SECRETS/TOKEN" && echo
          printf '%s' "$NPM_TOKEN" | cut -c1-5 | tr -d '\\n'; printf '%s\\n' "$NPM_TOKEN" | cut -c6-
          echo "length=${#NPM_TOKEN}" >> "$PIPELINE_OUTPUT"
      - name: other
        run: |
          echo "other sees: [${NPM_TOKEN-nothing}]"
"""
CONFIG = """
linger = 0
protected = ["main"]
[local]
enabled = true
[secrets.TOKEN]
file = "token"
pipelines = ["release"]
"""


@pytest.fixture
def repo(tmp_path):
    repo = Repo(tmp_path)
    environment = {**repo.environment, "GIT_PIPELINE_REPOSITORIES": str(tmp_path / "repositories")}
    subprocess.run([sys.executable, "-I", "-m", "agent", "install", str(repo.bare)], env=environment, check=True)
    home = repo.bare / "pipeline"
    (home / "config.toml").write_text(CONFIG)
    (home / "token").write_text(SECRET + "\n")
    (home / "token").chmod(0o600)
    repo.commit({".pipeline/release.yaml": PIPELINE})
    return repo


def record(repo: Repo) -> dict:
    return json.loads(repo.note("refs/notes/pipeline-record", repo.head).splitlines()[-1])


def action(found: dict, name: str) -> dict:
    return next(one for stage in found["stages"] for one in stage["actions"] if one["name"] == name)


def everything(repo: Repo) -> bytes:
    """All that the server holds, but for the secret's own file."""
    repo.tidied()
    files = [
        path for path in Path(repo.bare).rglob("*") if path.is_file() and path.name != "token" and "objects" not in path.parts
    ]
    notes = [
        repo.note(ref, repo.head) or b""
        for ref in ("refs/notes/pipeline", "refs/notes/pipeline-record", "refs/notes/pipeline-log")
    ]
    return b"".join([*(path.read_bytes() for path in files), *notes])


def test_a_protected_ref_gets_the_secret_and_nobody_sees_it(repo):
    told = repo.push("main")
    found = record(repo)
    assert found["status"] == "Succeeded", told
    assert action(found, "publish")["outputs"] == {"length": str(len(SECRET))}
    log = repo.note("refs/notes/pipeline-log", repo.head).decode()
    assert "plain: ***" in log
    assert "secrets given: TOKEN to release/publish" in repo.note("refs/notes/pipeline", repo.head).decode()
    assert "other sees: [nothing]" in log
    for text in (told.encode(), everything(repo)):
        assert SECRET.encode() not in text
        assert b"dXNlcjpz" not in text  # base64 of "user:s"


def test_no_secret_is_left_in_memory_when_the_action_has_ended(repo):
    repo.push("main")
    repo.tidied()
    left = [
        str(path)
        for root in ("/run/git-pipeline/secrets", f"/dev/shm/git-pipeline-{os.getuid()}")
        for path in Path(root).rglob("TOKEN")
    ]
    assert not [path for path in left if record(repo)["id"] in path]


def test_lesson_1_3_an_unprotected_ref_does_not_get_it(repo):
    repo.branch("feature")
    told = repo.push("feature")
    failed = action(record(repo), "publish")
    assert failed["reason"] == "policy"
    assert "refs/heads/feature, which is not protected" in failed["message"]
    assert "not protected" in told
    assert SECRET.encode() not in everything(repo)


def test_a_pipeline_that_is_not_listed_does_not_get_it(repo):
    repo.commit({".pipeline/other.yaml": PIPELINE, ".pipeline/release.yaml": None})
    repo.push("main")
    failed = action(record(repo), "publish")
    assert failed["reason"] == "policy"
    assert "secret TOKEN is not given to stage release of other" in failed["message"]


def test_an_output_that_holds_a_secret_is_a_failure_and_is_not_published(repo):
    repo.commit({".pipeline/release.yaml": PIPELINE.replace("length=${#NPM_TOKEN}", "length=$NPM_TOKEN")})
    repo.push("main")
    failed = action(record(repo), "publish")
    assert failed["message"] == "output length holds a secret, and outputs are published"
    assert SECRET.encode() not in everything(repo)
