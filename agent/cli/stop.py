"""`git pipeline stop`: stop an execution."""

import click

from agent.cli import steering
from agent.cli.steering import How
from agent.model.control import Stop


@click.command(short_help="stop an execution")
@click.argument("execution")
@click.option("--abandon", is_flag=True, help="end what runs, too; without it running actions finish")
@steering.options
def command(execution: str, abandon: bool, how: How) -> int:
    """Stop EXECUTION (release#42, 42 or an id): nothing further starts, and running actions finish first.

    Asked again with --abandon, what still runs is ended.
    """
    ending = "what runs is being ended" if abandon else "running actions finish first"
    return steering.steer(
        how,
        execution,
        lambda record: Stop(pipeline=record.pipeline, number=record.number, abandon=abandon),
        lambda answered: f"{answered.record.label} stops: {ending}",
    )
