"""For the operator's verbs: a repository with a real worker, and the command as a function."""

import pytest

from agent.cli.main import run
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
def call(capfd):
    """Calls `git pipeline …`: exit code, standard output, standard error."""

    def call(*args):
        code = run([str(arg) for arg in args])
        return code, *capfd.readouterr()

    return call
