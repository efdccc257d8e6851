"""Installing: repeatable, reversible, and polite to what is there."""

import os
import sys
from pathlib import Path

import pytest

from agent.admin import registry
from agent.admin.install import CHAINED, install, shim, template, uninstall
from agent.config import Config, parse
from agent.errors import RefusedError, UsageError
from agent.git.command import clean_environment
from tests.support.installed import GOOD, Installed
from tests.support.repo import Repo

PYTHON = Path(sys.executable)


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


@pytest.fixture
def put(repo):
    """Installs into a repository."""

    def put(at=repo.bare, uid=None):
        owner = os.getuid() if uid is None else uid
        return install(at, PYTHON, clean_environment(repo.environment), owner, repo.root / "repositories")

    return put


@pytest.fixture
def take(repo):
    """Uninstalls."""
    return lambda **more: uninstall(
        repo.bare, clean_environment(repo.environment), os.getuid(), repo.root / "repositories", **more
    )


def snapshot(root):
    return {
        path: (
            path.read_bytes() if path.is_file() else None,
            path.stat().st_mtime_ns if path.is_file() else 0,
            path.stat().st_mode,
        )
        for path in sorted(root.rglob("*"))
    }


def contents(root):
    return {path: (body, mode) for path, (body, _, mode) in snapshot(root).items()}


def test_twice_changes_nothing(repo, put):
    assert put()
    before = snapshot(repo.root)
    assert put() == ()
    assert snapshot(repo.root) == before


def test_only_the_owner_may_look(repo, put):
    put()
    directory = repo.bare / "pipeline"
    assert [oct(path.stat().st_mode & 0o777) for path in (directory, directory / "config.toml")] == ["0o700", "0o600"]
    directory.chmod(0o755)
    assert put() == (f"closed {directory} to others",)


@pytest.mark.parametrize("with_former", [False, True])
def test_uninstall_puts_everything_back(repo, put, take, with_former):
    if with_former:
        repo.hook("pre-receive", "#!/bin/sh\nexit 0\n")
        (repo.bare / "hooks" / "post-receive").symlink_to("../former")
        (repo.bare / "former").write_text("#!/bin/sh\n")
        repo.git("config", "core.fsync", "none", at=repo.bare)
        repo.git("config", "--add", "receive.advertisePushOptions", "false", at=repo.bare)
    before = contents(repo.bare)
    put()
    put()
    assert contents(repo.bare) != before
    take()
    assert contents(repo.bare) == before
    assert registry.repositories(repo.root / "repositories") == ()
    assert take() == ()


def test_a_choice_of_the_operator_is_kept(repo, put):
    repo.git("config", "core.fsync", "all", at=repo.bare)
    put()
    assert repo.git("config", "core.fsync", at=repo.bare) == "all"
    assert repo.git("config", "receive.advertisePushOptions", at=repo.bare) == "true"


def test_state_stays_where_something_ran(tmp_path):
    repo = Installed(tmp_path)
    repo.commit({".pipeline/release.yaml": GOOD})
    repo.detached()
    arguments = (repo.bare, clean_environment(repo.environment), os.getuid(), repo.registry)
    with pytest.raises(RefusedError, match="worker is running"):
        uninstall(*arguments)
    repo.close()
    assert "stays" in uninstall(*arguments)[-1]
    assert (repo.directory / "state.db").exists()
    assert repo.install()
    uninstall(*arguments, purge=True)
    assert not repo.directory.exists()


def test_two_former_hooks_are_a_question_for_people(repo, put):
    for name in ("pre-receive", "pre-receive" + CHAINED):
        repo.hook(name, "#!/bin/sh\n")
    with pytest.raises(RefusedError, match="merge them"):
        put()
    (repo.bare / "hooks" / ("pre-receive" + CHAINED)).unlink()
    (repo.bare / "hooks" / "post-receive").symlink_to("pre-receive")
    with pytest.raises(RefusedError, match="link to another hook"):
        put()
    assert not (repo.bare / "pipeline").exists()


def test_an_older_shim_is_replaced_not_chained(repo, put):
    put()
    hook = repo.bare / "hooks" / "pre-receive"
    hook.write_text(hook.read_text() + "# older\n")
    assert put() == (f"wrote {hook}",)
    assert not (repo.bare / "hooks" / ("pre-receive" + CHAINED)).exists()


def test_hooks_elsewhere_are_respected_and_shared(repo, put, take):
    hooks = repo.root / "shared hooks"
    hooks.mkdir()
    repo.git("config", "core.hooksPath", str(hooks), at=repo.bare)
    other = Repo(repo.root / "other")
    other.git("config", "core.hooksPath", str(hooks), at=other.bare)
    put()
    assert (hooks / "post-receive").exists()
    other.commit_and_push({".pipeline/x.yaml": "broken: ["})
    assert not (other.bare / "pipeline").exists()
    put(other.bare)
    take()
    assert (hooks / "post-receive").exists()


def test_what_cannot_be_used_is_refused(repo, put, tmp_path):
    for path, words in ((repo.clone, "not a bare"), (tmp_path / "gone", "No such file"), (repo.home, "not a git repository")):
        with pytest.raises(UsageError, match=words):
            put(path)
    with pytest.raises(RefusedError) as caught:
        put(uid=os.getuid() + 1)
    assert "sudo -u" in caught.value.hint
    assert not (repo.bare / "pipeline").exists()


def test_the_shims_are_sound_shell(tmp_path):
    for name in ("pre-receive", "post-receive"):
        path = tmp_path / name
        path.write_text(shim(name, PYTHON, shared=True))
        assert os.spawnlp(os.P_WAIT, "sh", "sh", "-n", str(path)) == 0
        assert "@" not in path.read_text().replace('"$@"', "")
    with pytest.raises(UsageError):
        shim("pre-receive", Path("/it's/python"), shared=False)


def test_the_written_configuration_shows_the_defaults():
    text = template("config.toml")
    assert parse({"config.toml": text.encode()}) == Config()
    lines = [line.removeprefix("# ") for line in text.split("# [people.alice]")[0].splitlines()]
    settings = "\n".join(line for line in lines if line.startswith("[") or " = " in line)
    shown = parse({"config.toml": settings.encode()})
    assert shown.model_copy(update={"protected": ()}) == Config()


def test_the_registry_keeps_each_once(tmp_path):
    path = tmp_path / "deep" / "repositories"
    assert registry.repositories(path) == ()
    assert registry.add(path, Path("/a"))
    assert not registry.add(path, Path("/a"))
    registry.add(path, Path("/b c"))
    assert registry.repositories(path) == (Path("/a"), Path("/b c"))
    assert registry.remove(path, Path("/a"))
    assert not registry.remove(path, Path("/a"))
    assert registry.location({}, 0) == registry.SYSTEM
    assert registry.location({"HOME": "/h"}, 5) == Path("/h/.local/state/git-pipeline/repositories")
