"""`git pipeline enable`: open the transition into a stage again."""

import click

from agent.cli import asking
from agent.model.control import Enable


@click.command(short_help="open the transition into a stage")
@click.argument("pipeline")
@click.argument("stage")
@asking.options
def command(pipeline: str, stage: str, repo: str | None, reason: str, by: str | None) -> None:
    """Open the transition into STAGE of PIPELINE again: what waits in front of it may enter."""
    with asking.desk(repo) as desk:
        name, into = desk.transition(pipeline, stage)
        desk.ask(Enable(pipeline=name, stage=into), asking.asker(by, reason))
    click.echo(f"the transition into {name}/{into} is open")
