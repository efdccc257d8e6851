"""`git pipeline override`: let a stage pass a failed condition."""

import click

from agent.cli import asking
from agent.model.control import Override
from agent.model.outcome import Status
from agent.results.record import StageRecord

_OPEN = {"Failed", "Errored", "InProgress"}


@click.command(short_help="let a stage pass a failed condition")
@click.argument("execution")
@click.argument("stage", default="")
@asking.options
def command(execution: str, stage: str, repo: str | None, reason: str, by: str | None) -> None:
    """Let STAGE of EXECUTION (release#42, 42 or an id) pass its condition, which failed or is still being evaluated.

    STAGE may be left out where only one has such a condition. Who overrode it, and why, stands in the record.
    """
    with asking.desk(repo) as desk:
        record, _ = desk.execution(execution)
        name = asking.stage_of(record, stage, _is_held_back, "with a condition to override")
        demand = Override(pipeline=record.pipeline, number=record.number, stage=name)
        desk.ask(demand, asking.asker(by, reason))
    click.echo(f"{record.label}: stage {name} passes its condition")


def _is_held_back(stage: StageRecord) -> bool:
    """Whether a condition has failed it, or is being evaluated."""
    is_open = any(condition.status in _OPEN for condition in stage.conditions)
    return is_open and stage.status in {Status.FAILED, Status.IN_PROGRESS, None}
