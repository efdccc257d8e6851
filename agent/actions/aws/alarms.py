"""Alarms of CloudWatch, looked at for a time after something has changed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from agent.actions.remote import Work
from agent.aws.session import AwsFault, Clients

State = Literal["ALARM", "INSUFFICIENT_DATA", "OK"]
FAILING: tuple[State, ...] = ("ALARM",)


def bake(work: Work, aws: Clients, alarms: Sequence[str], span: timedelta | None, states: Sequence[State] = FAILING) -> str:
    """Look at alarms, for a time if there is a `span`: what is wrong, in words, or empty when the time is over.

    The time is counted once for an attempt, also through a crash. Raises AwsFault for an alarm that does not exist,
    Interrupted if the work must end.
    """
    end = work.context.now() + (span or timedelta())
    until = datetime.fromisoformat(work.once("bakes until", end.isoformat))

    def look() -> str | None:
        over = work.context.now() >= until
        return _failing(aws, alarms, states) or ("" if over else None)

    if span:
        work.say(f"watching {', '.join(alarms) or 'nothing but the time'} until {until:%H:%M:%S} UTC")
    return work.wait(look)


def _failing(aws: Clients, alarms: Sequence[str], states: Sequence[str]) -> str:
    if not alarms:
        return ""
    kinds = ["MetricAlarm", "CompositeAlarm"]
    answer = aws("cloudwatch")("describe_alarms", AlarmNames=list(alarms), AlarmTypes=kinds, MaxRecords=100)
    found = {alarm["AlarmName"]: alarm for kind in kinds for alarm in answer.get(f"{kind}s", ())}
    if missing := [name for name in alarms if name not in found]:
        raise AwsFault(f"there is no alarm {missing[0]}", hint="alarms are looked for by their whole name, in one region")
    failing = [alarm for alarm in found.values() if alarm["StateValue"] in states]
    return "; ".join(f"alarm {alarm['AlarmName']} is {alarm['StateValue']}{_why(alarm)}" for alarm in failing)


def _why(alarm: dict[str, str]) -> str:
    return f" ({alarm['StateReason']})" if alarm.get("StateReason") else ""
