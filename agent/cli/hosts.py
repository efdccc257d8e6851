"""`git pipeline hosts`: the hosts of a group as they are now, and whether the agent gets in."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from agent.cli.asking import home
from agent.errors import EnvironmentFault, UsageError
from agent.model.host import Host
from agent.worker.places import Directories

if TYPE_CHECKING:
    from agent.executors.fleet import Fleet


@click.command(name="hosts")
@click.argument("group", required=False)
@click.option("--repo", metavar="REPO.git", help="the bare repository  [default: the one around the current directory]")
@click.option("--list", "only_list", is_flag=True, help="do not connect")
def command(group: str | None, repo: str | None, only_list: bool) -> int:
    """List the hosts of GROUP and connect to each: address, host key, login, uptime. Without GROUP: the groups.

    Exit code 1 if a host cannot be reached.
    """
    from agent.worker.configured import load_config
    from agent.worker.inventory import fleet_of  # paramiko

    directories = Directories(home(repo).parent)
    config = load_config(directories)
    if group is None:
        return _groups(sorted(config.hosts))
    if group not in config.hosts:
        hint = f"there are {', '.join(sorted(config.hosts))}" if config.hosts else "config.toml has no [hosts.NAME]"
        raise UsageError(f"there is no host group {group}", hint=hint)
    fleet = fleet_of(directories, config, os.environ, "probe")
    hosts = fleet.hosts(group)
    if only_list:
        for host in hosts:
            click.echo(str(host))
        return 0
    return _probe(fleet, group, hosts)


def _groups(names: list[str]) -> int:
    for name in names or ["no host groups are configured"]:
        click.echo(name)
    return 0


def _probe(fleet: "Fleet", group: str, hosts: tuple[Host, ...]) -> int:
    from agent.executors.fleet import THREADS

    faults = 0
    width = max(len(str(host)) for host in hosts)
    with ThreadPoolExecutor(min(THREADS, len(hosts))) as pool:
        for host, said in zip(hosts, pool.map(_asking(fleet, group), hosts), strict=True):
            faults += isinstance(said, EnvironmentFault)
            click.echo(f"{host!s:{width}}  {said.message if isinstance(said, EnvironmentFault) else said}")
            if isinstance(said, EnvironmentFault) and said.hint:
                click.echo(f"{'':{width}}  hint: {said.hint}")
    fleet.close()
    click.echo(f"{len(hosts) - faults}/{len(hosts)} hosts")
    return 1 if faults else 0


def _asking(fleet: "Fleet", group: str) -> Callable[[Host], str | EnvironmentFault]:
    def ask(host: Host) -> str | EnvironmentFault:
        try:
            remote = fleet.on(group, host).remote
            there = remote.open()[1]
        except EnvironmentFault as fault:
            return fault
        up = f", up {timedelta(seconds=there.uptime)}" if there.uptime >= 0 else ""
        return f"host key ok, {remote.route.place}{up}, jobs in {there.root}/jobs"

    return ask
