"""`git pipeline override`: let a stage pass a failed condition."""

import click

from agent.cli import asking, steering
from agent.cli.steering import Answered, How
from agent.model.control import Override
from agent.model.outcome import Status
from agent.results.record import Record, StageRecord

_OPEN = {"Failed", "Errored", "InProgress"}


@click.command(short_help="let a stage pass a failed condition")
@click.argument("execution")
@click.argument("stage", default="")
@steering.options
def command(execution: str, stage: str, how: How) -> int:
    """Let STAGE of EXECUTION (release#42, 42 or an id) pass its condition, which failed or is still being evaluated.

    STAGE may be left out where only one has such a condition. Who overrode it, and why, stands in the record.
    """

    def demand(record: Record) -> Override:
        name = asking.stage_of(record, stage, _is_held_back, "with a condition to override")
        return Override(pipeline=record.pipeline, number=record.number, stage=name)

    def told(answered: Answered) -> str:
        return f"{answered.record.label}: stage {demand(answered.record).stage} passes its condition"

    return steering.steer(how, execution, demand, told)


def _is_held_back(stage: StageRecord) -> bool:
    """Whether a condition has failed it, or is being evaluated."""
    is_open = any(condition.status in _OPEN for condition in stage.conditions)
    return is_open and stage.status in {Status.FAILED, Status.IN_PROGRESS, None}
