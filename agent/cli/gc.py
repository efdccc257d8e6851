"""`git pipeline gc`: remove what the retention rules no longer keep - executions, artifacts, caches - and say what went."""

from datetime import UTC, datetime

import click

from agent.cli import progress
from agent.results import summary
from agent.worker.places import Directories


@click.command()
@click.option("--dry-run", is_flag=True, help="only say what would be removed")
@click.argument("repository", required=False)
def command(repository: str | None, dry_run: bool) -> None:
    """Remove old executions, artifacts, caches and built images of REPOSITORY, as `[retention]` in its config.toml says.

    What has not ended stays, and so does what a rollback needs: the last two successes of every stage with their artifacts. What
    was published in notes is not touched.
    """
    from agent.admin.cleaning import collect_garbage
    from agent.cli.asking import home
    from agent.worker.configured import load_config

    directory = home(repository)
    settings = load_config(Directories(directory.parent))
    rules, now, docker = settings.retention, datetime.now(UTC), settings.docker if settings.builds.enabled else None
    meter, kept = progress.meter(), settings.artifacts
    is_idle = True
    for freed in collect_garbage(directory, rules, now, dry_run=dry_run, kept=kept, docker=docker, meter=meter):
        if not freed.names:
            continue
        is_idle = False
        verb = "would remove" if dry_run else "removed"
        click.echo(f"{verb} {len(freed.names)} {freed.what}, {summary.size(freed.size)}")
        for name in freed.names:
            click.echo(f"  {name}")
    if is_idle:
        click.echo("nothing to remove")
