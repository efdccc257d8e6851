"""`git pipeline status` in a real clone and on a real server."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.results import record
from tests.support.published import RECORD, Repositories, git, write_many
from tests.support.served import serve
from tests.support.stories import Story, action, plan, stage
from tests.support.tales import CASES

Command = Callable[..., tuple[int, str, str]]


def simple(number: int, commit: str, pipeline: str = "release") -> Story:
    story = Story(plan(stage("build", action("unit")), pipeline=pipeline), number=number, commit=commit)
    return story.begin().enter("build").start("build", "unit")


def done(number: int, commit: str, pipeline: str = "release") -> record.Record:
    return simple(number, commit, pipeline).after(72).end("build", "unit").leave("build").finish().record


def test_a_clone_fetches_and_shows_the_newest_first(repositories: Repositories, call: Command) -> None:
    first, second = repositories.commit("Add the sum"), repositories.commit("Mend the sum")
    failed = simple(2, second).after(3).fail("build", "unit", code=2).leave("build", "Failed").finish("Failed")
    repositories.record(done(1, first), failed.record)
    code, out, err = call("status")
    assert (code, err) == (0, "")
    newest, oldest = [line.split() for line in out.splitlines()]
    assert newest[:4] == ["release", "#2", "Failed", "3.0s"]
    assert newest[-6:] == ["main", second[:8], "build/unit:", "exit", "code", "2"]
    assert oldest[:4] == ["release", "#1", "Succeeded", "1m12s"]
    assert oldest[-5:] == ["main", first[:8], "Add", "the", "sum"]
    assert git(repositories.clone, "rev-parse", RECORD) == git(repositories.bare, "rev-parse", RECORD)


def test_json_gives_the_records_as_they_are(repositories: Repositories, call: Command) -> None:
    made = done(1, repositories.commit("one"))
    repositories.record(made)
    code, out, _ = call("status", "--json")
    assert (code, out.encode()) == (0, record.encode(made) + b"\n")


def test_who_is_asked_is_told_with_the_call(repositories: Repositories, call: Command) -> None:
    commit = repositories.commit("one")
    [story] = CASES["waiting"]()
    repositories.record(msgspec.structs.replace(story.record, commit=commit))
    _, out, _ = call("status")
    assert out.splitlines()[0].split()[:3] == ["release", "#42", "Waiting"]
    assert "release #42 waits for approval by qa-lead" in out
    assert f"  git tag -s approve/release/42/sign-off/$USER {commit[:12]} -m" in out


def test_a_revision_shows_its_own_executions(repositories: Repositories, call: Command) -> None:
    first, second = repositories.commit("one"), repositories.commit("two")
    repositories.record(done(1, first), done(2, second), done(3, first, "nightly"))
    _, out, _ = call("status", "HEAD~1")
    assert [line.split("  ")[0] for line in out.splitlines()] == ["nightly #3", "release #1"]


def test_a_renewed_execution_shows_once_and_as_it_is_now(repositories: Repositories, call: Command) -> None:
    commit = repositories.commit("one")
    repositories.record(simple(1, commit).record, done(1, commit))
    _, out, _ = call("status")
    assert [line.split()[2] for line in out.splitlines()] == ["Succeeded"]


def test_no_fetch_shows_what_was_there(repositories: Repositories, call: Command) -> None:
    repositories.record(done(1, repositories.commit("one")))
    call("status")
    repositories.record(done(2, repositories.commit("two")))
    assert len(call("status", "--no-fetch")[1].splitlines()) == 1
    assert len(call("status")[1].splitlines()) == 2


def test_a_remote_that_is_away_is_told_and_the_rest_is_shown(repositories: Repositories, call: Command) -> None:
    repositories.record(done(1, repositories.commit("one")))
    call("status")
    repositories.bare.rename(repositories.bare.with_name("moved.git"))
    code, out, err = call("status")
    assert code == 0
    assert out.startswith("release #1")
    assert err.startswith("git pipeline: cannot fetch from origin (")


def test_logs_are_not_fetched_for_a_status(repositories: Repositories, call: Command) -> None:
    commit = repositories.commit("one")
    repositories.record(done(1, commit))
    repositories.note("refs/notes/pipeline-log", commit, b"much")
    repositories.note("refs/notes/pipeline", commit, b"short")
    call("status")
    assert "refs/notes/pipeline-log" not in git(repositories.clone, "for-each-ref")
    assert "refs/notes/pipeline\n" in git(repositories.clone, "for-each-ref") + "\n"


def test_without_notes_it_says_what_to_do(repositories: Repositories, call: Command) -> None:
    repositories.commit("one")
    code, out, err = call("status")
    assert (code, out) == (2, "")
    assert err == (
        "git pipeline: there are no results of git-pipeline here yet\nhint: push to origin, if git-pipeline is installed there\n"
    )


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Command) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = call("status")
    assert code == 2
    assert err.startswith("git pipeline: not a git repository")


def test_several_remotes_and_none_of_them_known(repositories: Repositories, call: Command) -> None:
    git(repositories.clone, "remote", "rename", "origin", "one")
    git(repositories.clone, "remote", "add", "two", "elsewhere")
    git(repositories.clone, "checkout", "--quiet", "--orphan", "fresh")
    code, _, err = call("status")
    assert code == 2
    assert err == "git pipeline: which remote runs the pipelines: one, two?\nhint: git config pipeline.remote one\n"


def test_n_and_the_history_of_many_notes(repositories: Repositories, call: Command) -> None:
    """Notes move when git fans them out; only what changed counts as new."""
    commits = [f"{index * 7919:040x}" for index in range(1, 401)]
    write_many(repositories.bare, [{commit: record.encode(done(index, commit))} for index, commit in enumerate(commits, 1)])
    repositories.record(done(401, repositories.commit("last")))
    _, out, _ = call("status", "-n", "5")
    assert [line.split()[1] for line in out.splitlines()] == ["#401", "#400", "#399", "#398", "#397"]
    _, out, _ = call("status", "-n", "1000", "--json")
    assert [json.loads(line)["number"] for line in out.splitlines()] == list(range(401, 0, -1))


def test_colours_where_they_are_wanted(repositories: Repositories, call: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    repositories.record(done(1, repositories.commit("one")))
    plain = call("status")[1]
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert "\x1b[32mSucceeded\x1b[0m" in call("status")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert call("status")[1] == plain


def test_the_server_shows_its_live_state(
    repositories: Repositories, call: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = repositories.commit("one")
    ended = simple(1, commit).after(timedelta(minutes=1).total_seconds()).end("build", "unit").leave("build").finish()
    serve(repositories.bare, ended, simple(2, commit))
    _, out, _ = call("status", "--repo", str(repositories.bare))
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["release", "#2", "In", "progress"]
    assert lines[0].endswith("build/unit")
    assert lines[1].split()[:4] == ["release", "#1", "Succeeded", "1m00s"]
    monkeypatch.chdir(repositories.bare)
    assert call("status")[1] == out


def test_a_repository_without_the_agent(repositories: Repositories, call: Command) -> None:
    code, _, err = call("status", "--repo", str(repositories.bare))
    assert code == 2
    assert err.splitlines()[0] == f"git pipeline: git-pipeline has no state in {repositories.bare}"


def test_a_wrong_repository(repositories: Repositories, call: Command) -> None:
    code, _, err = call("status", "--repo", "nowhere")
    assert code == 2
    assert err.startswith("git pipeline: nowhere is not a git repository")
