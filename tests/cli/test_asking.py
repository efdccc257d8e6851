"""What all of the operator's verbs have in common: which repository, who asks, and a worker that cannot answer."""

import os
import pwd
from threading import Thread

import pytest

from agent.cli import asking
from agent.worker import wake
from tests.support.repo import Repo


@pytest.fixture
def waiting(repo, call):
    """An execution whose only action waits."""
    repo.commit_release(repo.stage("build"))
    call("start", "release", "--detach")
    repo.wait_until_runs("build")
    return repo


@pytest.mark.parametrize("words", ["1", "#1", "release#1", "release #1", "release", "HEAD"])
def test_executions_are_named_as_for_the_log(waiting, call, words):
    code, out, err = call("stop", words, "--abandon")
    assert (code, out, err) == (0, "release #1 stops: what runs is being ended\n", "")
    waiting.wait_for("Stopped")


def test_an_id_and_a_repository_that_is_named(waiting, call, monkeypatch):
    monkeypatch.chdir(waiting.root)
    assert call("stop", waiting.row().id, "--repo", waiting.bare, "--abandon")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("relese#1", "no execution is called relese#1\nhint: did you mean release#1 or release?\n"),
        ("7", "no execution is called 7\nhint: the last one is release#1; git pipeline list shows more\n"),
    ],
)
def test_an_execution_that_is_not_there(waiting, call, words, message):
    code, out, err = call("stop", words)
    assert (code, out) == (2, "")
    assert err == f"git pipeline: {message}"


def test_places_that_are_not_repositories_with_the_agent(repo, call, monkeypatch, tmp_path):
    code, _, err = call("stop", "1", "--repo", tmp_path / "nowhere")
    assert (code, "is not a bare git repository" in err) == (2, True)
    code, _, err = call("stop", "1", "--repo", repo.clone)
    assert (code, "is not a bare git repository" in err) == (2, True)
    monkeypatch.chdir(repo.clone)
    code, _, err = call("stop", "1")
    assert code == 2
    assert "there are no results of git-pipeline here yet" in err
    other = Repo(tmp_path / "other")
    code, _, err = call("stop", "1", "--repo", other.bare)
    assert code == 2
    assert f"hint: git pipeline install {other.bare}" in err
    assert not (other.bare / "pipeline").exists()


def test_who_asks(monkeypatch):
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert asking.asker(None).name == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setenv("SUDO_USER", "carol")
    assert asking.asker(None).name == "carol"
    assert asking.asker("dave", "why not") == asking.Asker("dave", "why not")


@pytest.mark.usefixtures("as_root")
def test_only_the_owner_may_ask(waiting, call):
    os.chown(waiting.directory, 12345, -1)
    code, _, err = call("stop", "1")
    os.chown(waiting.directory, 0, -1)
    assert code == 1
    assert "belongs to user 12345" in err
    assert "sudo -u '#12345'" in err
    assert waiting.row().status == "InProgress"


def test_a_broken_configuration_is_told_and_nothing_is_asked(repo, call):
    repo.commit_release(repo.stage("build"))
    repo.configure("concurency = 3\n")
    code, out, err = call("start", "release")
    assert (code, out) == (1, "")
    assert "unknown key concurency, did you mean concurrency?" in err
    assert repo.executions == ()
    repo.configure("")
    assert call("start", "release", "--detach")[0] == 0
    repo.wait_for("Failed")  # as no local processes are allowed
    assert len(repo.executions) == 1


def test_a_worker_that_listens_and_does_not_answer(repo, call, monkeypatch):
    repo.commit_release(repo.stage("build"))
    monkeypatch.setattr(asking, "PATIENCE", 0.3)
    listener = wake.listen(str(repo.directory))
    code, _, err = call("start", "release")
    os.close(listener)
    assert code == 3
    assert "no worker has answered" in err
    assert f"its log is {repo.directory / 'agent.log'}" in err
    monkeypatch.undo()
    code, out, _ = call("resume", repo.bare)
    assert code == 0, out
    repo.wait_until_runs("build")  # the request was kept


def test_a_worker_that_heard_and_is_gone_is_replaced(repo, call):
    repo.commit_release(repo.stage("build"))
    listener = wake.listen(str(repo.directory))

    def leave() -> None:
        os.read(listener, 1)  # blocks until somebody has rung
        os.close(listener)

    os.set_blocking(listener, True)
    deaf = Thread(target=leave)
    deaf.start()
    assert call("start", "release", "--detach")[0] == 0
    deaf.join()
    repo.wait_until_runs("build")


def test_a_worker_that_dies_says_why(repo, call):
    repo.commit_release(repo.stage("build"))
    (repo.directory / "key").chmod(0o644)
    code, _, err = call("start", "release")
    assert code == 3
    assert "the worker does not run: the worker cannot work:" in err
    assert "anybody could sign as the agent" in err


def test_last_words(tmp_path):
    log = tmp_path / "agent.log"
    assert asking.last_words(log) == "it left no word"
    log.write_text('{"level": "info", "message": "x"}\nTraceback\nImportError: no module named agent\n\n')
    assert asking.last_words(log) == "ImportError: no module named agent"
    with log.open("a") as file:
        file.write('{"level": "bug", "message": "oh", "traceback": "Traceback\\n  here\\nValueError: 3\\n"}\nmore\n')
    assert asking.last_words(log) == "oh: ValueError: 3"


def test_whoever_asks_while_the_worker_is_leaving_is_heard(repo, call):
    """A ring between its last look and its end was lost once."""
    repo.configure('linger = "PT0S"\n')
    repo.commit_release(repo.stage("build"))
    for _ in range(8):
        assert call("disable", "release", "build")[0] == 0, repo.log
        assert call("enable", "release", "build")[0] == 0, repo.log
