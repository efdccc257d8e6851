"""Puts the runner `ssh` together: the operator's groups, EC2, the ways to the hosts."""

import getpass
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from agent.aws import hosts
from agent.aws.session import Sessions
from agent.config import Config, HostGroup
from agent.errors import ConfigError
from agent.executors.fleet import Fleet
from agent.executors.ssh import SshExecutor
from agent.model.host import Host
from agent.secrets.base import Secrets
from agent.worker.places import Directories
from agent.worker.routes import Routes
from agent.worker.sources import secrets_of


def fleet_of(directories: Directories, config: Config, environment: Mapping[str, str], repository: str) -> Fleet:
    """The runner `ssh` of a repository, whose identity marks its jobs on the hosts."""
    sessions = Sessions()
    routes = Routes(
        directories.root,
        Path(environment.get("HOME") or "~").expanduser(),
        environment.get("USER") or getpass.getuser(),
        _passphrases(config, secrets_of(directories.root, config, environment)),
        lambda group, host, user, key: hosts.admit(sessions, group.ec2, host, user, key),
    )

    def build(group: HostGroup, host: Host) -> SshExecutor:
        return SshExecutor(repository, routes.of(group, host), lambda: datetime.now(UTC))

    return Fleet(config.hosts, directories.root / "hosts", lambda places: hosts.find(sessions, places), build)


def _passphrases(config: Config, secrets: Secrets) -> Callable[[str], bytes]:
    def passphrase(name: str) -> bytes:
        if name not in config.secrets:
            raise ConfigError(f"`passphrase` names the secret {name}, but there is no [secrets.{name}]")
        return secrets.get(name)

    return passphrase
