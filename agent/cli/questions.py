"""The approvals of `git pipeline run --approvals`: asked at the terminal, of the one who sits there."""

import click

from agent.cli.answering import Waiting, demanded, waiting
from agent.results import summary
from agent.state.queue import Row
from agent.worker.rehearsal import Stage


def ask(stage: Stage, row: Row) -> bool:
    """Put the questions that an execution waits for, and pass the answers on; False if it waits for none.

    Raises click.Abort at Ctrl-C and at the end of the input.
    """
    found = list(waiting(stage.record(row)))
    for one in found:
        approved, comment = _answered(one)
        stage.ask(demanded(one, approved), comment)
    return bool(found)


def _answered(one: Waiting) -> tuple[bool, str]:
    said = " ".join(filter(None, (summary.clean(one.approval.message), summary.clean(one.approval.url))))
    if said:
        click.echo(said, err=True)
    approved = click.confirm(f"approve {one.place}?", err=True)
    return approved, click.prompt("comment", default="", show_default=False, err=True).strip()
