"""`git pipeline stop`: stop an execution."""

import click

from agent.cli import asking
from agent.model.control import Stop


@click.command(short_help="stop an execution")
@click.argument("execution")
@click.option("--abandon", is_flag=True, help="end what runs, too; without it running actions finish")
@asking.options
def command(execution: str, abandon: bool, repo: str | None, reason: str, by: str | None) -> None:
    """Stop EXECUTION (release#42, 42 or an id): nothing further starts, and running actions finish first.

    Asked again with --abandon, what still runs is ended.
    """
    with asking.desk(repo) as desk:
        record, _ = desk.execution(execution)
        desk.ask(Stop(pipeline=record.pipeline, number=record.number, abandon=abandon), asking.asker(by, reason))
    how = "what runs is being ended" if abandon else "running actions finish first"
    click.echo(f"{record.label} stops: {how}")
