"""The command itself: verbs, errors, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.main import VERBS, run

ROOT = Path(__file__).parents[2]


def called(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_verb_and_loads_none(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["-h"]) == 0
    out = capfd.readouterr().out
    assert all(f"  {verb} " in out for verb in VERBS)


def test_the_program_alone_and_a_group_of_verbs_show_their_help(capfd: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["policy"]):
        assert run(words) == 2
        assert capfd.readouterr().err.startswith(" ".join(["Usage: git pipeline", *words, "[OPTIONS]"]))


def test_help_is_asked_for_in_other_ways_too(capfd: pytest.CaptureFixture[str]) -> None:
    for words, told in ((["help"], "git pipeline -h;"), (["help", "log"], "git pipeline log -h;"), (["version"], "--version")):
        assert run(words) == 2
        assert told in capfd.readouterr().err


def test_a_word_that_is_none_of_a_few(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--status", "Succeded"]) == 2
    assert capfd.readouterr().err.endswith("\nhint: did you mean succeeded?; git pipeline list -h explains it\n")


@pytest.mark.parametrize("verb", ["status", "log"])
def test_a_verb_explains_itself(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "-h"]) == 0
    assert capfd.readouterr().out.startswith(f"Usage: git pipeline {verb} [OPTIONS]")


def test_an_unknown_verb_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["frobnicate"]) == 2
    assert capfd.readouterr().err == "git pipeline: there is no verb frobnicate\nhint: git pipeline -h lists the verbs\n"


@pytest.mark.parametrize(("said", "meant"), [("aprove", "approve"), ("logs", "log"), ("cancel", "stop"), ("validate", "check")])
def test_a_mistake_tells_the_command_that_would_have_worked(said: str, meant: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([said, "1"]) == 2
    assert f"did you mean git pipeline {meant}" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stop"], "missing argument 'EXECUTION'"),
        (["stop", "1", "--abandn"], "no such option"),
        (["log", "1", "--attempt", "x"], "invalid value for '--attempt': 'x' is not"),
        (["stop", "1", "2"], "got unexpected extra argument (2)"),
    ],
)
def test_wrong_usage_is_told_with_the_right_one(words: list[str], told: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    first, hint = capfd.readouterr().err.splitlines()
    assert first.startswith(f"git pipeline: {told}")
    assert hint.startswith(f"hint: git pipeline {words[0]} [OPTIONS] ")
    assert hint.endswith(f"; git pipeline {words[0]} -h explains it")


def test_an_error_is_two_lines_without_a_traceback(tmp_path: Path) -> None:
    done = called("status", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["git pipeline", "hint"]


def test_the_directory_to_start_in(tmp_path: Path) -> None:
    (tmp_path / "clone").mkdir()
    subprocess.run(["git", "init", "-q", str(tmp_path / "clone")], check=True)
    assert "there are no results of git-pipeline here yet" in called("-C", "clone", "status", cwd=tmp_path).stderr


def test_git_that_is_not_installed_is_a_fault_of_the_surroundings(tmp_path: Path) -> None:
    done = called("status", cwd=tmp_path, PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        3,
        "git pipeline: cannot run git: No such file or directory\nhint: install git, or mend the PATH\n",
    )


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-u", "-m", "agent", "-h"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(theirs)
    assert b"Traceback" not in done.stderr
    assert b"bug" not in done.stderr
