"""`git pipeline mirror REMOTE`: fetch another repository, and run what has changed there."""

import click


@click.command(short_help="fetch another repository, and run what has changed there")
@click.argument("remote")
@click.option("--run/--no-run", "starts", default=None, help="start what the changes ask for  [default: but for the first time]")
@click.option("--repo", metavar="REPO.git", help="the bare repository  [default: the one around the current directory]")
def command(remote: str, starts: bool | None, repo: str | None) -> int:
    """Bring the branches and tags of REMOTE, a name under [remotes] of the configuration, to this repository.

    Each change is judged as if it had been pushed here, and starts what a push would start. Exit code 1 if one was refused.
    """
    from agent.admin.outside import said
    from agent.cli import outdoors

    with outdoors.opened(repo) as (outside, _):
        moved = outside.mirror(remote, starts=not outside.is_new(remote) if starts is None else starts)
    for one in moved:
        click.echo(said(one), err=bool(one.refused))
    return int(any(one.refused for one in moved))
