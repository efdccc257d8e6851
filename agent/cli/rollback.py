"""`git pipeline rollback`: run a stage again as a former execution ran it."""

import click

from agent.cli import asking
from agent.model.control import RollBack
from agent.model.outcome import Status


@click.command(short_help="run a stage again as a former execution ran it")
@click.argument("execution")
@click.argument("stage", default="")
@asking.options
def command(execution: str, stage: str, repo: str | None, reason: str, by: str | None) -> None:
    """Start a new execution that runs STAGE as EXECUTION (release#42, 42 or an id) ran it.

    It takes the commit, the variables and the artifacts of then. EXECUTION must have succeeded in STAGE, which may be left out
    where it has succeeded in one only.
    """
    with asking.desk(repo) as desk:
        record, _ = desk.execution(execution)
        name = asking.stage_of(record, stage, lambda one: one.status is Status.SUCCEEDED, "that succeeded")
        demand = RollBack(pipeline=record.pipeline, number=record.number, stage=name)
        row = desk.queued(desk.ask(demand, asking.asker(by, reason)))
    click.echo(f"{asking.label(row)} queued: runs stage {name} as {record.label} did")
