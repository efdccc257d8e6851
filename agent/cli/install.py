"""`git pipeline install REPO.git`: put the agent into a bare repository."""

import os
import pwd
import sys
from pathlib import Path

import click

from agent.admin import registry, units
from agent.admin.install import install
from agent.git.command import clean_environment


@click.command
@click.argument("repository", type=click.Path(path_type=Path), default=".")
@click.option(
    "--python", type=click.Path(exists=True, path_type=Path), default=sys.executable, help="the interpreter of the hooks"
)
@click.option("--systemd", is_flag=True, help="only print units that look after all repositories of this user once a minute")
def command(repository: Path, python: Path, systemd: bool) -> None:
    """Put the agent into the bare repository that people push to. Hooks that are there keep running; twice is harmless."""
    registered = registry.location(os.environ, os.getuid())
    if systemd:
        _print_units(units.Setting(pwd.getpwuid(os.getuid()).pw_name, python.absolute(), registered))
        return
    done = install(repository, python.absolute(), clean_environment(os.environ), os.getuid(), registered)
    if not done:
        click.echo("everything was there already")
        return
    place = f"{repository.resolve()}/"
    click.echo(f"in {place}")
    for line in done:
        click.echo(f"  {line.replace(place, '', 1)}")
    click.echo(
        "next: say in pipeline/config.toml who may decide and what pushes may use; git pipeline doctor looks whether all is well"
    )


def _print_units(setting: units.Setting) -> None:
    """The units go to the standard output, what to do with them to the other one."""
    for name, text in units.units(setting).items():
        click.echo(f"# {units.DIRECTORY / name}\n{text}")
    click.echo(units.explanation(setting), err=True)
