"""For the verbs: a repository with a real worker, the command as a function, and people with keys in a clone."""

import os
from pathlib import Path

import pytest

from agent.cli.main import run
from tests.support.published import Repositories
from tests.support.steered import Steered
from tests.support.working import Working


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """Where the command is called, too."""
    made = Working(tmp_path)
    for name in ("SUDO_USER", "NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_PIPELINE_REPOSITORIES", str(made.registry))
    monkeypatch.chdir(made.bare)
    yield made
    made.end()


@pytest.fixture
def in_clone(tmp_path, keys, monkeypatch):
    """The one who calls is alice, in her clone."""
    made = Steered(tmp_path, keys)
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    for name in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    made.git("config", "gpg.format", "ssh")
    made.git("config", "user.signingkey", str(keys.root / "alice.pub"))
    made.git("config", "user.email", "alice@example.com")
    monkeypatch.chdir(made.clone)
    yield made
    made.end()


@pytest.fixture
def repositories(tmp_path, monkeypatch):
    """A bare repository with notes and a clone of it, where the command is called."""
    made = Repositories(tmp_path)
    monkeypatch.chdir(made.clone)
    for name in ("COLUMNS", "NO_COLOR", "CLICOLOR_FORCE", "GIT_PAGER", "PAGER"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture
def call(capfd):
    """Calls `git pipeline …`: exit code, standard output, standard error."""

    def call(*args):
        code = run([str(arg) for arg in args])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def golden():
    """Compares a text with a file under tests/cases/cli; with GOLDEN=write in the environment it is written anew."""
    places = Path(__file__).parents[1] / "cases" / "cli"

    def golden(name: str, text: str) -> None:
        place = places / name
        if os.environ.get("GOLDEN") == "write":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        assert text == place.read_text()

    return golden
