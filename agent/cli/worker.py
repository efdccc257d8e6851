"""`git pipeline worker`: run what is queued, here or in all repositories; for a systemd timer, cron, or a person."""

import os
import sys
from pathlib import Path

import click

from agent.admin import registry
from agent.errors import AgentError


@click.command(name="worker")
@click.argument("repository", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--all", "everywhere", is_flag=True, help="look at every repository with the agent, and start workers where needed")
def command(repository: Path | None, everywhere: bool) -> int:
    """Work on REPOSITORY until there is nothing left to do, or look after all repositories once."""
    if everywhere == (repository is not None):
        raise click.UsageError("give a repository, or --all")
    if repository:
        from agent.worker.process import main as work  # everything that a worker is made of

        return work([str(repository)])
    from agent.admin.timer import tick
    from agent.worker.wiring import clock, new_id

    code = 0
    for known in registry.repositories(registry.location(os.environ, os.getuid())):
        try:
            for line in tick(known, clock(), new_id, sys.executable, os.environ):
                click.echo(f"{known}: {line}")
        except AgentError as error:
            click.echo(f"{known}: {error}", err=True)
            code = error.exit_code
    return code
