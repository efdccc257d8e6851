"""The operator changes the configuration while the agent works: what runs keeps what it started with, what comes gets the new."""

import json
import subprocess
import sys

import pytest

from tests.support.working import CONFIG, Working

SECRET = '[secrets.TOKEN]\nfile = "token"\nunprotected = true\n'
PUSHED = 'mode: parallel\ntriggers: [{push: {branches: ["**"]}}]\n'


@pytest.fixture
def repo(tmp_path):
    made = Working(tmp_path)
    token = made.directory / "token"
    token.write_text("hush-hush\n")
    token.chmod(0o600)
    yield made
    made.end()


def agent(repo, *words) -> None:
    """A command on the server."""
    environment = {**repo.environment, "GIT_PIPELINE_REPOSITORIES": str(repo.registry)}
    subprocess.run([sys.executable, "-I", "-m", "agent", *map(str, words)], env=environment, cwd=repo.bare, check=True)


def two_stages(repo) -> str:
    """`first` waits; `second` then asks for a secret."""
    second = repo.action("second", "secrets: {TOKEN: TOKEN}")
    return f"{PUSHED}stages:\n{repo.stage('first')}{repo.stage('second', second)}"


def pushed(repo, number: int) -> str:
    """A commit with an execution of its own; the commit."""
    repo.commit({".pipeline/release.yaml": two_stages(repo), "n": str(number)})
    repo.detached(f"HEAD:refs/heads/b{number}")
    repo.wait_until_runs("first", number)
    return repo.head


def record(repo, commit: str) -> dict:
    return json.loads((repo.note("refs/notes/pipeline-record", commit) or b"{}").splitlines()[-1])


def published(repo, commit: str, status: str) -> dict:
    repo.wait(lambda: record(repo, commit).get("status") == status, f"{commit} {status} in the record")
    return record(repo, commit)


def test_lesson_1_20_the_policy_is_that_of_the_start(repo):
    """One worker, three executions: with the secret, without it, with it again. Each record names what was in force for it."""
    commits = []
    for number, config in enumerate((CONFIG + SECRET, CONFIG, CONFIG + SECRET), 1):
        repo.configure(config)
        commits.append(pushed(repo, number))
    workers = repo.workers
    repo.let("first")
    repo.let("second")
    one, two, three = (
        published(repo, commit, status) for commit, status in zip(commits, ("Succeeded", "Failed", "Succeeded"), strict=True)
    )
    assert workers == repo.workers or not repo.workers
    failed = two["stages"][1]["actions"][0]
    assert (failed["reason"], "secret TOKEN is not given" in failed["message"]) == ("policy", True)
    assert one["policy"] == three["policy"] != two["policy"]
    assert sorted(repo.ran("second")) == ["1 1", "3 1"]


def test_a_broken_file_holds_what_is_new_and_not_what_runs(repo):
    repo.configure(CONFIG + SECRET)
    repo.hurry()
    commit = pushed(repo, 1)
    repo.configure("concurency = 4\n")
    repo.commit({"n": "2"})
    said = repo.push("HEAD:refs/heads/b2")
    assert "it waits until the operator has mended the configuration" in said
    assert "unknown key concurency, did you mean concurrency?" in said
    assert repo.row(2).status == "Queued"
    repo.kill_worker()  # also a worker that starts now goes on with the first, secret and all
    agent(repo, "resume", repo.bare)
    repo.let("first")
    repo.let("second")
    published(repo, commit, "Succeeded")
    repo.wait(lambda: not repo.workers, "nothing is left to do")
    assert repo.row(2).status == "Queued"
    repo.configure(CONFIG)
    agent(repo, "resume", repo.bare)
    repo.wait_for("Failed", 2)  # as it may not have the secret
    assert repo.ran("second") == ["1 1"]


def test_after_a_restart_an_execution_keeps_what_it_started_with(repo):
    repo.configure(CONFIG + SECRET)
    commit = pushed(repo, 1)
    before = record(repo, commit).get("policy")
    repo.kill_worker()
    repo.configure(CONFIG)
    repo.let("first")
    repo.let("second")
    agent(repo, "resume", repo.bare)
    found = published(repo, commit, "Succeeded")
    assert repo.ran("second") == ["1 1"]
    assert before in (None, found["policy"])


def test_a_retry_of_what_is_over_gets_what_is_in_force_then(repo):
    repo.configure(CONFIG + SECRET)
    commit = pushed(repo, 1)
    repo.let("first")
    repo.let("second", 1)
    before = published(repo, commit, "Failed")
    repo.configure(CONFIG)
    agent(repo, "retry", "1", "--repo", repo.bare)
    repo.wait(lambda: record(repo, commit)["policy"] != before["policy"], "the retry")
    after = published(repo, commit, "Failed")
    assert repo.ran("second") == ["1 1"]
    assert after["links"][-1]["sequence"] == before["sequence"]  # the former end, with the former policy, stays in the chain
