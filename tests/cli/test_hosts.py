"""`git pipeline hosts`: who is in a group now, and whether the agent gets in; on real sshd processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.farm import Farm
from tests.support.repo import Repo


@pytest.fixture(scope="module")
def farm(farm: Farm) -> Farm:
    for _ in range(3):
        farm.host()
    return farm


class Operator(Repo):
    """Somebody at the server."""

    def __init__(self, root: Path, farm: Farm) -> None:
        super().__init__(root)
        self.environment |= {"GIT_PIPELINE_REPOSITORIES": str(root / "repositories")}
        self.says("install", str(self.bare))
        self.farm = farm

    def set_group(self, known: list[str] | None = None, more: str = "") -> None:
        hosts = ", ".join(f'web-{number} = "{host.address}:{host.port}"' for number, host in enumerate(self.farm.hosts, 1))
        keys = [host.known for host in self.farm.hosts] if known is None else known
        lines = [
            f"[hosts.web]\naddresses = {{{hosts}}}\nuser = 'root'\nkey = '{self.farm.key}'",
            f"host_keys = {json.dumps(keys)}",
        ]
        (self.bare / "pipeline" / "config.toml").write_text("\n".join([*lines, more]) + "\n")

    def says(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-m", "agent", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, cwd=self.root)

    def hosts(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.says("hosts", *words, "--repo", str(self.bare))


@pytest.fixture
def operator(tmp_path: Path, farm: Farm) -> Operator:
    made = Operator(tmp_path, farm)
    made.set_group()
    return made


def test_probe(operator: Operator):
    done = operator.hosts("web")
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert last == "3/3 hosts"
    for number, (host, line) in enumerate(zip(operator.farm.hosts, lines, strict=True), 1):
        assert line.startswith(f"web-{number} ({host.address}:{host.port})  host key ok, root@{host.address}:{host.port}, up ")
        assert line.endswith("jobs in /root/.git-pipeline/jobs")


def test_list_only(operator: Operator):
    operator.set_group(known=[])  # so that a connection would fail
    done = operator.hosts("web", "--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["web-1", "web-2", "web-3"]


def test_one_is_not_who_it_should_be_and_one_is_down(operator: Operator):
    first, second, third = operator.farm.hosts
    operator.set_group(known=[first.known, f"{second.known.split()[0]} {first.host_key}", third.known])
    third.stop()
    try:
        done = operator.hosts("web")
    finally:
        third.start()
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "1/3 hosts"
    assert "is not trusted: its ssh-ed25519 key is not the known one" in done.stdout
    assert "hint: it shows ssh-ed25519 SHA256:" in done.stdout
    assert f"root@{third.address}:{third.port} cannot be reached: Connection refused" in done.stdout


def test_an_unknown_host_comes_with_the_line_to_add(operator: Operator):
    operator.set_group(known=[])
    said = operator.hosts("web").stdout
    assert all(f"add to `host_keys`: {host.known}" in said for host in operator.farm.hosts)


def test_groups(operator: Operator):
    operator.set_group(more="[hosts.db]\naddresses = ['10.0.0.1']")
    assert operator.hosts().stdout.splitlines() == ["db", "web"]
    done = operator.hosts("wed")
    assert done.returncode == 2
    assert "there is no host group wed" in done.stderr
    assert "there are db, web" in done.stderr
    (operator.bare / "pipeline" / "config.toml").write_text("")
    assert operator.hosts().stdout == "no host groups are configured\n"
    assert "config.toml has no [hosts.NAME]" in operator.hosts("web").stderr


def test_a_key_file_that_is_missing(operator: Operator):
    operator.set_group(more="[hosts.db]\naddresses = ['127.0.0.1']\nkey = 'id'")
    done = operator.hosts("db")
    assert done.returncode == 1
    assert "pipeline/id is not there, but [hosts] in config.toml names it" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
