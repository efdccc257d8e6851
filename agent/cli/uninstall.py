"""`git pipeline uninstall REPO.git`: take the agent out of a repository again."""

import os
from pathlib import Path

import click

from agent.admin import registry
from agent.admin.install import uninstall
from agent.git.command import clean_environment


@click.command
@click.argument("repository", type=click.Path(path_type=Path), default=".")
@click.option("--purge", is_flag=True, help="also remove the configuration, the executions and their artifacts")
def command(repository: Path, purge: bool) -> None:
    """Put the hooks and the settings of a repository back as they were. What stands in its notes stays."""
    registered = registry.location(os.environ, os.getuid())
    done = uninstall(repository, clean_environment(os.environ), os.getuid(), registered, purge=purge)
    for line in done or ("the agent was not here",):
        click.echo(line)
