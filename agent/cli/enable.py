"""`git pipeline enable`: open the transition into a stage again."""

import click

from agent.cli import steering
from agent.cli.steering import How
from agent.model.control import Enable


@click.command(short_help="open the transition into a stage")
@click.argument("pipeline")
@click.argument("stage")
@steering.options
def command(pipeline: str, stage: str, how: How) -> int:
    """Open the transition into STAGE of PIPELINE again: what waits in front of it may enter."""
    return steering.turn(how, pipeline, stage, lambda name, into: Enable(pipeline=name, stage=into), "open")
