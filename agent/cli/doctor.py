"""`git pipeline doctor REPO.git`: look for what is wrong on the server, and say what to do."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from agent.git.command import clean_environment
from agent.worker.doctor import Finding, Level, Patient, examine

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "red"}


@click.command
@click.argument("repository", type=click.Path(path_type=Path), default=".")
def command(repository: Path) -> int:
    """Look at git, Docker, permissions, hooks, configuration, disk, clock, state and worker; exit 1 if one is wrong."""
    patient = Patient(
        repository=repository.resolve(), environment=clean_environment(os.environ), uid=os.getuid(), now=datetime.now(UTC)
    )
    findings = examine(patient)
    for finding in findings:
        _print(finding)
    return int(any(finding.level is Level.WRONG for finding in findings))


def _print(finding: Finding) -> None:
    click.echo(f"{click.style(f'{finding.level:<8}', fg=_COLOURS[finding.level])}{finding.text}")
    if finding.hint:
        click.echo(f"        {finding.hint}")
