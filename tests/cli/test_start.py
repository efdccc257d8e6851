"""`git pipeline start`: with real workers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.model.execution import Execution

ROOT = Path(__file__).parents[2]

VARIABLES = """\
triggers: []
variables:
  where: {default: earth, choices: [earth, mars]}
  what: {description: name it}
"""


def execution(repo, number=1):
    return msgspec.json.decode(repo.row(number).body, type=Execution)


def test_it_is_started_and_followed_to_its_end(repo, call):
    commit = repo.commit_release(repo.stage("build"))
    repo.let("build")
    code, out, err = call("start", "release", "--as", "alice", "-m", "a trial")
    assert (code, err) == (0, ""), repo.log
    lines = out.splitlines()
    assert lines[:2] == ["release #1 queued", "release #1  started  (started on main by alice)"]
    assert any(line.startswith("release #1  succeeded") for line in lines)
    found = execution(repo)
    assert (found.trigger, found.commit, found.ref, found.actor) == ("manual", commit, "refs/heads/main", "alice")
    assert repo.ran("build") == ["1 1"]


def test_a_failure_is_the_exit_code(repo, call):
    repo.commit_release(repo.stage("build"))
    repo.let("build", 3)
    code, out, _ = call("start", "release")
    assert code == 1
    assert "build/build  failed" in out
    assert "exit code 3" in out


def test_detached_it_only_queues_and_a_worker_that_is_there_takes_it(repo, call):
    repo.commit_release(repo.stage("build"), head="triggers: []\nmode: parallel\n")
    assert call("start", "release", "--detach") == (0, "release #1 queued\n", "")
    repo.wait_until_runs("build")
    [worker] = repo.workers
    assert call("start", "release", "--detach") == (0, "release #2 queued\n", "")
    repo.wait_until_runs("build", 2)
    assert repo.workers == [worker]
    repo.let("build")
    repo.wait_for("Succeeded", 2)


def test_variables_are_checked_before_anything_is_asked(repo, call):
    repo.commit_release(repo.stage("build"), head=VARIABLES)
    code, out, err = call("start", "release", "--detach")
    assert (code, out) == (2, "")
    assert err == "git pipeline: release needs a value for variable what (name it)\nhint: --var what=…\n"
    for given, words in (
        (("what=x", "where=venus"), "variable where cannot be 'venus'"),
        (("what=x", "wher=mars"), "release has no variable wher"),
        (("what=a\x1bb",), "control character U+001B"),
        (("what",), "is not name=value"),
        (("what=a", "what=b"), "given twice"),
    ):
        code, out, err = call("start", "release", "--detach", *(word for one in given for word in ("--var", one)))
        assert (code, out) == (2, ""), given
        assert words in err
    assert repo.executions == ()
    assert repo.workers == []
    assert call("start", "release", "--detach", "--var", "what=a = b", "--var", "where=mars")[0] == 0
    assert execution(repo).variables == {"what": "a = b", "where": "mars"}


def test_another_commit_ref_or_tag(repo, call):
    first = repo.commit_release(repo.stage("build"))
    repo.let("build")
    repo.branch("side")
    second = repo.commit_and_push({"a": "1"})
    tag = repo.tag("v1", message="one")
    repo.push("refs/tags/v1")
    cases = [
        (("--ref", "side"), second, "refs/heads/side"),
        (("--ref", "refs/heads/side"), second, "refs/heads/side"),
        (("--commit", first), first, "refs/heads/main"),
        (("--commit", second[:10]), second, "refs/heads/side"),
        (("--commit", first, "--ref", "side"), first, "refs/heads/side"),
        (("--ref", "v1"), second, "refs/tags/v1"),
    ]
    for number, (options, commit, ref) in enumerate(cases, 1):
        code, _, err = call("start", "release", "--detach", *options)
        assert code == 0, err
        assert (execution(repo, number).commit, execution(repo, number).ref) == (commit, ref)
    assert tag != second


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("relese",), "has no pipeline relese", "did you mean 'release'?"),
        (("release", "--ref", "mian"), "there is no branch or tag mian", "did you mean 'main'?"),
        (("release", "--commit", "f" * 40), "is no commit of", "push it first"),
        (("release", "--commit", "--ref"), "is no commit of", "push it first"),
    ],
)
def test_what_is_not_there(repo, call, arguments, message, hint):
    repo.commit_release(repo.stage("build"))
    code, out, err = call("start", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert f"hint: {hint}" in err


def test_a_commit_that_is_not_of_the_ref_is_not_run_in_its_name(repo, call):
    repo.commit_release(repo.stage("build"))
    repo.branch("side")
    side = repo.commit_and_push({"a": "1"})
    code, _, err = call("start", "release", "--ref", "main", "--commit", side)
    assert code == 2
    assert f"{side[:12]} is no commit of main" in err


def test_without_pipelines_or_commits(repo, call):
    code, _, err = call("start", "release")
    assert code == 2
    assert "refs/heads/main is no branch or tag with commits" in err
    repo.commit_and_push({"a": "1"})
    code, _, err = call("start", "release")
    assert code == 2
    assert "has no pipelines" in err


def test_broken_pipeline_files_are_shown(repo, call):
    """They came before the agent was installed."""
    hook = repo.bare / "hooks" / "pre-receive"
    hook.rename(repo.root / "kept")
    repo.commit_and_push({".pipeline/release.yaml": "stages: 3\n"})
    (repo.root / "kept").rename(hook)
    code, _, err = call("start", "release")
    assert code == 1
    assert "the pipeline files of main" in err
    assert ".pipeline/release.yaml:1:9" in err


def test_ctrl_c_ends_the_following_only(repo):
    repo.commit_release(repo.stage("build"))
    command = [sys.executable, "-m", "agent", "start", "release"]
    process = subprocess.Popen(
        command, cwd=repo.bare, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"release #1 queued\n"
        repo.wait_until_runs("build")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    repo.let("build")
    repo.wait_for("Succeeded")
