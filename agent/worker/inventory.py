"""Puts the runner `ssh` together: the operator's groups, EC2, the ways to the hosts."""

import getpass
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from agent.aws import hosts
from agent.aws.balancers import Listener, TargetGroups
from agent.aws.session import Clients, Identity, Service, Sessions
from agent.config import Balancer as Section
from agent.config import Config, HostGroup
from agent.errors import ConfigError, EnvironmentFault, RefusedError
from agent.executors.balancer import Balancer, Switch
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
        directories.named_from,
        Path(environment.get("HOME") or "~").expanduser(),
        environment.get("USER") or getpass.getuser(),
        _passphrases(config, secrets_of(directories.named_from, config, environment)),
        lambda group, host, user, key: hosts.admit(sessions, group.ec2, host, user, key),
    )

    def build(group: HostGroup, host: Host) -> SshExecutor:
        keys = _console_keys(directories.root / "hosts" / "keys", sessions, group, host) if group.console_keys else ()
        return SshExecutor(repository, routes.of(group, host, keys), lambda: datetime.now(UTC))

    balance = _Balance(config, sessions)
    return Fleet(config.hosts, directories.root / "hosts", lambda places: hosts.find(sessions, places), build, balance)


class _Balance:
    """See fleet.Balance; what leads traffic is asked as the operator's configuration says."""

    def __init__(self, config: Config, sessions: Sessions) -> None:
        self._config = config
        self._sessions = sessions

    def hosts(self, group: HostGroup) -> Balancer | None:
        made = group.balancer
        if made is None or not made.target_groups:
            return None
        return TargetGroups(
            self._elb(made), made.target_groups, by=made.by, port=made.port, drain=made.drain, healthy=made.healthy
        )

    def fleets(self, group: HostGroup) -> Switch:
        made = group.balancer
        targets = {name: balancer.target_groups[0] for name in group.fleets if (balancer := self._config.hosts[name].balancer)}
        if made is None:
            raise RefusedError("a group of fleets needs a `balancer`")
        return Listener(self._elb(made), made.listener, targets)

    def _elb(self, made: Section) -> Service:
        return Clients(self._sessions, Identity(role=made.role), made.region)("elbv2")


def _console_keys(directory: Path, sessions: Sessions, group: HostGroup, host: Host) -> tuple[str, ...]:
    """Those that were told when the host was first met: a console forgets, and what it tells later is not believed."""
    path = directory / host.id
    try:
        if not path.exists():
            keys = hosts.console_keys(sessions, group.ec2, host)
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_name(f".{host.id}.{threading.get_ident()}")
            fresh.write_text("\n".join(keys) + "\n")
            fresh.replace(path)
        return tuple(path.read_text().splitlines())
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}", hint="is the disk full?") from error


def _passphrases(config: Config, secrets: Secrets) -> Callable[[str], bytes]:
    def passphrase(name: str) -> bytes:
        if name not in config.secrets:
            raise ConfigError(f"`passphrase` names the secret {name}, but there is no [secrets.{name}]")
        return secrets.get(name)

    return passphrase
