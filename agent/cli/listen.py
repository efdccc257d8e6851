"""`git pipeline listen`: start what events in a queue of SQS ask for."""

import click

from agent.errors import UsageError
from agent.sources.queue import LONGEST, Queue


@click.command(short_help="start what events in a queue of SQS ask for")
@click.option("--wait", "waits", is_flag=True, help="go on for ever; else until nothing comes any more")
@click.option("--patience", type=click.IntRange(0, LONGEST), default=LONGEST, show_default=True, help="seconds of one poll")
@click.option("--repo", metavar="REPO.git", help="the bare repository  [default: the one around the current directory]")
def command(waits: bool, patience: int, repo: str | None) -> int:
    """Read the queue that [listen] of the configuration names: objects in S3, images in ECR, events and schedules of EventBridge,
    changes in CodeCommit, webhooks. [[sources]] says which of them start what, [remotes] which repositories are brought here.

    For a systemd timer, or with --wait for a service. Exit code 3 if a message could not be acted on; it comes again.
    """
    from agent.admin.listening import listen
    from agent.aws.session import Sessions
    from agent.cli import outdoors

    with outdoors.opened(repo) as (outside, config):
        if not config.listen.queue:
            raise UsageError("no queue to listen to", hint="set `queue` under [listen] in pipeline/config.toml")
        for line in outside.catch_up():
            click.echo(line)
        queue = Queue(config.listen, Sessions())
        return 3 if listen(queue, outside, click.echo, waits=waits, patience=patience) else 0
