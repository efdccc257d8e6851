"""The doctor: what is broken on purpose is found, with what to do about it."""

import fcntl
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.admin.doctor import Level, Patient, examine
from agent.git.command import clean_environment
from agent.state.database import open_database
from agent.state.journal import Journal
from tests.support.installed import GOOD, Installed


@pytest.fixture
def repo(tmp_path):
    installed = Installed(tmp_path)
    yield installed
    installed.close()


def wrong(repo, **more):
    """The texts and hints of what is wrong, but for Docker, which a machine may lack."""
    facts = {
        "repository": repo.bare,
        "environment": clean_environment(repo.environment),
        "uid": os.getuid(),
        "now": datetime.now(UTC),
    }
    found = examine(Patient(**{**facts, "system_config": repo.root / "none", **more}))
    return [f"{one.text}: {one.hint}" for one in found if one.level is Level.WRONG and "Docker" not in one.text]


def test_a_sound_repository(repo):
    assert wrong(repo) == []


def test_no_docker(repo):
    environment = clean_environment(repo.environment) | {"DOCKER_HOST": f"unix://{repo.root}/none.sock"}
    patient = Patient(repository=repo.bare, environment=environment, uid=os.getuid(), now=datetime.now(UTC))
    (found,) = [one for one in examine(patient) if "Docker" in one.text]
    assert found.level is Level.WRONG
    assert "group docker" in found.hint


def test_repositories_beside(repo):
    tables = f'[repositories.ours]\npath = "{repo.bare}"\n[repositories.gone]\npath = "/nowhere.git"\n'
    (repo.directory / "config.toml").write_text(tables)
    (found,) = wrong(repo)
    assert found.startswith("repository gone: the agent is not installed in /nowhere.git: git pipeline install /nowhere.git")


def test_host_groups(repo, tmp_path):
    """What is missing on this machine is told by the group; whether a host answers is told by `git pipeline hosts`."""
    home = tmp_path / "home"
    (repo.directory / "config.toml").write_text("""
[hosts.a]
addresses = ["192.0.2.1"]
key = "id"
known_hosts = "known"
passphrase = "NOBODY"
ssh_config = "config"
[hosts.b]
addresses = ["192.0.2.1"]
agent = "door"
[hosts.c]
addresses = ["192.0.2.1"]
host_keys = ["ssh-ed25519 AAAA"]
""")
    pipeline = repo.directory
    assert [one.split(", but")[0] for one in wrong(repo)] == [
        *(f"host group a: {pipeline}/{name} is not there" for name in ("id", "known", "config")),
        "host group a: its `passphrase` names no secret that is there: NOBODY: ",
        f"host group b: there is no ssh-agent at {pipeline}/door: start it, or take `agent` out",
        "host group b: no host key is known, so every host will be refused: git pipeline hosts b shows what to add",
        f"host group c: there is no key to log in with: name one with `key`, or make one in {home}/.ssh",
    ]
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").touch()
    assert not any("host group c" in one for one in wrong(repo))


def broken_hook(repo):
    (repo.bare / "hooks/pre-receive").write_text("#!/bin/sh\n")


def no_hook(repo):
    (repo.bare / "hooks/post-receive").unlink()


def not_executable(repo):
    (repo.bare / "hooks/post-receive").chmod(0o644)


def no_interpreter(repo):
    hook = repo.bare / "hooks/post-receive"
    hook.write_text(hook.read_text().replace("python='", "python='/nonexistent"))


def bad_config(repo):
    (repo.directory / "config.toml").write_text("concurency = 3\n")


def damaged(repo):
    (repo.directory / "state.db").write_bytes(b"rubbish" * 1000)


def no_options(repo):
    repo.git("config", "receive.advertisePushOptions", "false", at=repo.bare)


def stale_lock(repo):
    lock = repo.bare / "refs/heads/main.lock"
    lock.touch()
    os.utime(lock, (0, 0))


def not_installed(repo):
    shutil.move(repo.directory, repo.root / "away")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (broken_hook, "git pipeline install"),
        (no_hook, "git pipeline install"),
        (not_executable, "chmod +x"),
        (no_interpreter, "does not run"),
        (bad_config, "did you mean concurrency"),
        (damaged, "move it away"),
        (no_options, "receive.advertisePushOptions true"),
        (stale_lock, "rm "),
        (not_installed, "git pipeline install"),
    ],
)
def test_damage_is_found(repo, damage, words):
    damage(repo)
    assert any(words in text for text in wrong(repo))


def test_a_clock_that_is_off(repo):
    assert any("NTP" in text for text in wrong(repo, now=datetime.now(UTC) + timedelta(hours=1)))
    database = open_database(str(repo.directory / "state.db"))
    Journal(database).append("one", 0, (datetime.now(UTC) + timedelta(hours=1)).isoformat(), [b"{}"])
    assert any("the journal reaches into the future" in text for text in wrong(repo))


def test_somebody_else(repo):
    assert any("sudo -u" in text for text in wrong(repo, uid=os.getuid() + 1))
    if os.getuid() == 0:
        os.chown(repo.directory / "config.toml", 12345, 12345)
        assert any("chown 0" in text for text in wrong(repo))


def test_work_without_a_worker(repo):
    repo.commit({".pipeline/release.yaml": GOOD})
    repo.detached()
    assert wrong(repo) == []
    repo.close()
    try:
        assert any("git pipeline resume" in text for text in wrong(repo))
        lock = os.open(repo.directory / "worker.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert any("it is stuck" in text for text in wrong(repo))
        os.close(lock)
    finally:
        repo.wake = os.open(os.devnull, os.O_RDONLY)


def test_looking_changes_nothing(repo):
    def names():
        return sorted(path for path in Path(repo.bare).rglob("*") if not path.name.startswith("state.db-"))

    before = names()
    wrong(repo)
    assert names() == before
