"""`git pipeline install REPO.git`: put the agent into a bare repository."""

import os
import sys
from pathlib import Path

import click

from agent.git.command import clean_environment
from agent.worker import registry
from agent.worker.install import install


@click.command
@click.argument("repository", type=click.Path(path_type=Path), default=".")
@click.option(
    "--python", type=click.Path(exists=True, path_type=Path), default=sys.executable, help="the interpreter of the hooks"
)
def command(repository: Path, python: Path) -> None:
    """Put the agent into the bare repository that people push to. Hooks that are there keep running; twice is harmless."""
    registered = registry.location(os.environ, os.getuid())
    done = install(repository, python.absolute(), clean_environment(os.environ), os.getuid(), registered)
    for line in done or ("everything was there already",):
        click.echo(line)
