"""The conditions of a stage: what the results of their rules add up to, and what is still to be asked (codepipeline.md 2.4)."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

from agent.execution.commands import Command, EvaluateRule, Record
from agent.execution.events import Gate, RuleEnded
from agent.execution.state import GateState, StageState
from agent.execution.timing import after
from agent.model.ids import StageName
from agent.model.outcome import Status
from agent.model.plan import Condition, Rule


class Judgement(StrEnum):
    """What a condition comes to. ERRORED: a rule could not be evaluated, which never counts as a success."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    OVERRIDDEN = "overridden"


OPEN = (Judgement.SUCCEEDED, Judgement.OVERRIDDEN)


def judge(condition: Condition | None, state: StageState, gate: Gate) -> Judgement:
    """Failed as soon as one rule is; succeeded when all are. No condition, or one without rules, has succeeded."""
    found = state.gates.get(gate, GateState())
    if found.overridden_by:
        return Judgement.OVERRIDDEN
    rules = condition.rules if condition else ()
    ended = [found.ended[index] for index in range(len(rules)) if index in found.ended]
    wrong = [rule for rule in ended if rule.status is not Status.SUCCEEDED]
    if wrong:
        return Judgement.ERRORED if any(rule.errored for rule in wrong) else Judgement.FAILED
    return Judgement.SUCCEEDED if len(ended) == len(rules) else Judgement.PENDING


def evaluate(stage: StageName, gate: Gate, condition: Condition | None, state: StageState, now: datetime) -> Iterator[Command]:
    """Ask for all rules that have not ended, and fail those whose time is over. Repeated until RuleEnded, harmlessly."""
    found = state.gates.get(gate, GateState())
    for index, rule in enumerate(condition.rules if condition else ()):
        if index in found.ended:
            continue
        deadline = found.deadlines.get(index) or after(now, rule.timeout) or datetime.max.replace(tzinfo=now.tzinfo)
        if index in found.started and deadline <= now:
            message = f"{_called(rule)} did not succeed within {rule.timeout}"
            yield Record(event=_end(stage, gate, index, Status.FAILED, message, now))
        else:
            yield EvaluateRule(stage=stage, gate=gate, index=index, deadline=deadline)


def abandon(stage: StageName, state: StageState, now: datetime, message: str) -> Iterator[Command]:
    """End the rules that are being evaluated, whatever they would have said."""
    for gate, found in state.gates.items():
        for index in found.pending:
            yield Record(event=_end(stage, gate, index, Status.ABANDONED, message, now))


def explain(condition: Condition | None, state: StageState, gate: Gate) -> str:
    """Why a condition did not succeed, in words."""
    found = state.gates.get(gate, GateState())
    wrong = [
        f"{_called(rule)}: {found.ended[index].message or found.ended[index].status}"
        for index, rule in enumerate(condition.rules if condition else ())
        if index in found.ended and found.ended[index].status not in {Status.SUCCEEDED, Status.ABANDONED}
    ]
    return f"condition {gate} failed" + (f" ({'; '.join(wrong)})" if wrong else "")


def _called(rule: Rule) -> str:
    return f"rule {rule.name or rule.provider}"


def _end(stage: StageName, gate: Gate, index: int, status: Status, message: str, now: datetime) -> RuleEnded:
    return RuleEnded(at=now, stage=stage, gate=gate, index=index, status=status, message=message)
