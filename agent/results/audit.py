"""What a record names of the operator's configuration: fixed when first written, for each answer when that appears."""

from collections.abc import Iterator
from typing import NamedTuple

from agent.execution.state import ExecutionState
from agent.results.record import Audit, Record
from agent.trust import evidence


class Standing(NamedTuple):
    """What is in force now: the digest of the configuration, and the list of signers (`trust.evidence.encode`)."""

    policy: str
    signers: bytes

    @property
    def digest(self) -> str:
        return evidence.digest(self.signers)


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
    return Audit(
        policy=former.policy if former and former.policy else standing.policy,
        signers=former.signers if former and former.signers else standing.digest,
        answers={tag: known.get(tag) or standing.digest for tag in sorted(given)},
    )


def names(audit: Audit) -> set[str]:
    """The digests of all lists of signers that a record names."""
    return {audit.signers, *audit.answers.values()} - {""}


def _answers(former: Record) -> Iterator[tuple[str, str]]:
    for stage in former.stages:
        for action in stage.actions:
            for answer in action.approval.answers if action.approval else ():
                yield answer.tag, answer.signers
