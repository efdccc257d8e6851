"""`git pipeline disable`: close the transition into a stage."""

import click

from agent.cli import asking
from agent.model.control import Disable


@click.command(short_help="close the transition into a stage")
@click.argument("pipeline")
@click.argument("stage")
@asking.options
def command(pipeline: str, stage: str, repo: str | None, reason: str, by: str | None) -> None:
    """Close the transition into STAGE of PIPELINE: executions wait in front of it until it is enabled again.

    What is in the stage goes on. Closed again, it takes the new reason.
    """
    with asking.desk(repo) as desk:
        name, into = desk.transition(pipeline, stage)
        desk.ask(Disable(pipeline=name, stage=into), asking.asker(by, reason))
    click.echo(f"the transition into {name}/{into} is closed")
