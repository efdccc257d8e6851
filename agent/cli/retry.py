"""`git pipeline retry`: run a failed stage again."""

import click

from agent.cli import asking, steering
from agent.cli.steering import Answered, How
from agent.model.control import Retry
from agent.model.outcome import Status
from agent.model.plan import RetryMode
from agent.results.record import Record, StageRecord


@click.command(short_help="run a failed stage again")
@click.argument("execution")
@click.argument("stage", default="")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in RetryMode]),
    default=RetryMode.FAILED_ACTIONS.value,
    show_default=True,
    help="run only the failed actions again, or all of the stage",
)
@steering.options
def command(execution: str, stage: str, mode: str, how: How) -> int:
    """Run a failed or stopped STAGE of EXECUTION (release#42, 42 or an id) again, in the same execution.

    STAGE may be left out where only one failed. Its approvals are asked again.
    """

    def demand(record: Record) -> Retry:
        name = asking.stage_of(record, stage, _is_retryable, "to retry")
        return Retry(pipeline=record.pipeline, number=record.number, stage=name, mode=RetryMode(mode))

    def told(answered: Answered) -> str:
        what = "all actions" if mode == RetryMode.ALL_ACTIONS else "the failed actions"
        return f"{answered.record.label}: stage {demand(answered.record).stage} runs {what} again"

    return steering.steer(how, execution, demand, told)


def _is_retryable(stage: StageRecord) -> bool:
    """Whether it failed, or something in it did while the rest still runs."""
    failed = any(action.status is Status.FAILED and not action.continue_on_error for action in stage.actions)
    return stage.status in {Status.FAILED, Status.STOPPED} or (stage.status is Status.IN_PROGRESS and failed)
