"""The reference of commands and the manual page say what the program says; every verb is explained, and tested."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from agent.cli.main import VERBS
from tests.support.commands import MANUAL, PAGE, commands, markdown, paragraphs, roff

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "approvals": "cli/test_approve.py",
    "reject": "cli/test_approve.py",
    "deployments": "system/test_deploy.py",
    "install": "admin/test_install.py",
    "uninstall": "admin/test_install.py",
    "listen": "cli/test_mirror.py",
    "receive-webhook": "cli/test_mirror.py",
    "doctor": "admin/test_doctor.py",
}  # where verbs are tested that have no file of their own name


def test_the_reference_is_up_to_date():
    assert PAGE.read_text() == markdown(), "python -m tests.support.commands"


def test_the_manual_page_is_up_to_date():
    assert MANUAL.read_text() == roff(), "python -m tests.support.commands"


def test_the_manual_page_is_proper_and_git_finds_it(tmp_path):
    done = subprocess.run(
        ["man", "--warnings", "-l", str(MANUAL)], capture_output=True, text=True, env={**os.environ, "MANWIDTH": "90"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "git pipeline stop [OPTIONS] EXECUTION" in done.stdout.replace("\u2010", "-")
    (tmp_path / "man1").mkdir()
    (tmp_path / "man1" / MANUAL.name).symlink_to(MANUAL)
    shown = subprocess.run(
        ["git", "pipeline", "--help"],
        capture_output=True,
        env={**os.environ, "MANPATH": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert shown.returncode == 0, shown.stderr
    assert b"git-pipeline" in shown.stdout


def test_the_wheel_installs_it():
    assert '"docs/git-pipeline.1" = "share/man/man1/git-pipeline.1"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_explained_and_every_option_has_a_meaning(verb):
    command = commands()[verb]
    assert paragraphs(command)
    assert command.short_help or command.help
    assert [one.name for one in command.params if isinstance(one, click.Option) and not one.help and not one.hidden] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_tests(verb):
    assert (ROOT / "tests" / ELSEWHERE.get(verb, f"cli/test_{verb}.py")).exists()
