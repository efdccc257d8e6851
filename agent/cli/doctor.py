"""`git pipeline doctor REPO.git`: look for what is wrong on the server, and say what to do."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.git.command import clean_environment

if TYPE_CHECKING:
    from agent.admin.doctor import Finding


@click.command
@click.argument("repository", type=click.Path(path_type=Path), default=".")
def command(repository: Path) -> int:
    """Look at git, Docker, permissions, hooks, configuration, disk, clock, state and worker; exit 1 if one is wrong."""
    from agent.admin.doctor import Level, Patient, examine

    patient = Patient(
        repository=repository.resolve(), environment=clean_environment(os.environ), uid=os.getuid(), now=datetime.now(UTC)
    )
    findings = examine(patient)
    for finding in findings:
        _print(finding)
    return int(any(finding.level is Level.WRONG for finding in findings))


def _print(finding: "Finding") -> None:
    from agent.admin.doctor import Level

    colours = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "red"}
    click.echo(f"{click.style(f'{finding.level:<8}', fg=colours[finding.level])}{finding.text}")
    if finding.hint:
        click.echo(f"        {finding.hint}")
