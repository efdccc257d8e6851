"""`git pipeline disable`: close the transition into a stage."""

import click

from agent.cli import steering
from agent.cli.steering import How
from agent.model.control import Disable


@click.command(short_help="close the transition into a stage")
@click.argument("pipeline")
@click.argument("stage")
@steering.options
def command(pipeline: str, stage: str, how: How) -> int:
    """Close the transition into STAGE of PIPELINE: executions wait in front of it until it is enabled again.

    What is in the stage goes on. Closed again, it takes the new reason.
    """
    return steering.turn(how, pipeline, stage, lambda name, into: Disable(pipeline=name, stage=into), "closed")
