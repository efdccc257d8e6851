"""What a record names of the operator's configuration: fixed with each end, for each answer when that appears."""

from collections.abc import Iterator
from typing import NamedTuple

from agent.execution.state import ExecutionState
from agent.results.record import Audit, Record
from agent.trust import evidence


class Standing(NamedTuple):
    """What is in force: the digest of the configuration that an execution runs under, its list of signers, and that of now.

    Lists of signers are as `trust.evidence.encode` makes them.
    """

    policy: str
    signers: bytes
    signers_now: bytes


def of(former: Record | None, state: ExecutionState, standing: Standing) -> Audit:
    """The audit of an execution's record, given the one it replaces."""
    known = dict(_answers(former)) if former else {}
    given = {
        answer.tag
        for stage in state.stages.values()
        for action in stage.actions.values()
        for answer in action.answers
        if answer.tag
    }
    now = evidence.digest(standing.signers_now)
    same_end = former is not None and state.status.is_final and former.ended_at == state.ended_at
    return Audit(
        policy=former.policy if former and former.policy and same_end else standing.policy,
        signers=former.signers if former and former.signers else evidence.digest(standing.signers),
        answers={tag: known.get(tag) or now for tag in sorted(given)},
    )


def names(audit: Audit) -> set[str]:
    """The digests of all lists of signers that a record names."""
    return {audit.signers, *audit.answers.values()} - {""}


def _answers(former: Record) -> Iterator[tuple[str, str]]:
    for stage in former.stages:
        for action in stage.actions:
            for answer in action.approval.answers if action.approval else ():
                yield answer.tag, answer.signers
