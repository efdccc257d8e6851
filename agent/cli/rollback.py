"""`git pipeline rollback`: run a stage again as a former execution ran it."""

import click

from agent.cli import asking, steering
from agent.cli.steering import Answered, How
from agent.model.control import RollBack
from agent.model.outcome import Status
from agent.results.record import Record


@click.command(short_help="run a stage again as a former execution ran it")
@click.argument("execution")
@click.argument("stage", default="")
@steering.options
def command(execution: str, stage: str, how: How) -> int:
    """Start a new execution that runs STAGE as EXECUTION (release#42, 42 or an id) ran it.

    It takes the commit, the variables and the artifacts of then. EXECUTION must have succeeded in STAGE, which may be left out
    where it has succeeded in one only.
    """

    def demand(record: Record) -> RollBack:
        name = asking.stage_of(record, stage, lambda one: one.status is Status.SUCCEEDED, "that succeeded")
        return RollBack(pipeline=record.pipeline, number=record.number, stage=name)

    def told(answered: Answered) -> str:
        queued = asking.label(answered.desk.queued(answered.request))
        return f"{queued} queued: runs stage {demand(answered.record).stage} as {answered.record.label} did"

    return steering.steer(how, execution, demand, told)
