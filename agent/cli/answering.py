"""How people answer approvals from an ordinary clone: what waits, as the notes tell it, and the signed tag that answers."""

from collections.abc import Iterator
from typing import NamedTuple

from agent.cli.remote import Clone
from agent.cli.source import resolve
from agent.cli.tagging import opened
from agent.errors import RefusedError, UsageError
from agent.model.control import Answer
from agent.model.ids import ActionName
from agent.results import summary
from agent.results.record import ActionRecord, ApprovalRecord, Record, StageRecord


class Waiting(NamedTuple):
    """An approval that waits for people."""

    record: Record
    stage: StageRecord
    action: ActionRecord
    approval: ApprovalRecord

    @property
    def place(self) -> str:
        return f"{self.stage.name}/{self.action.name}"


def waiting(record: Record) -> Iterator[Waiting]:
    """The approvals of an execution that wait."""
    for stage in record.stages:
        for action in stage.actions:
            if action.approval and summary.is_waiting(action):
                yield Waiting(record, stage, action, action.approval)


def chosen(clone: Clone, execution: str, stage: str, action: str) -> Waiting:
    """The one approval that somebody means. Raises UsageError or RefusedError with what could have been meant."""
    record = resolve(clone, execution)
    everything = list(waiting(record))
    if not everything:
        hint = "git pipeline approvals lists what waits; git pipeline status tells how it stands"
        raise RefusedError(f"{record.label} waits for nobody", hint=hint)
    fitting = [one for one in everything if stage in {"", one.stage.name, one.place} and action in {"", one.action.name}]
    if len(fitting) == 1:
        return fitting[0]
    places = ", ".join(one.place for one in everything)
    if fitting:
        raise UsageError(f"{record.label} waits for several approvals: {places}", hint="name the STAGE, or --action NAME")
    raise UsageError(f"{record.label} waits for no {'/'.join(filter(None, (stage, action)))}", hint=f"it waits for {places}")


def demanded(one: Waiting, approved: bool) -> Answer:
    """What the answer demands; the action is named only where its stage asks for several."""
    needs_name = sum(other.approval is not None for other in one.stage.actions) > 1
    return Answer(
        pipeline=one.record.pipeline,
        number=one.record.number,
        stage=one.stage.name,
        approved=approved,
        action=ActionName(one.action.name) if needs_name else "",
    )


def answer(execution: str, stage: str, comment: str, action: str, remote: str | None, *, dry_run: bool, approved: bool) -> int:
    """What `approve` and `reject` do; the exit code."""
    seat, clone = opened(remote)
    one = chosen(clone, execution, stage, action)
    tag = seat.tag(demanded(one, approved), one.record.commit, comment, one.record.id)
    said = "approving" if approved else "rejecting"
    doing = f"{said} {one.record.label} {one.place}: {summary.question(one.approval)}"
    return seat.offer(tag, doing, dry_run=dry_run)
