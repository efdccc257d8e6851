"""The built-in rules that need nothing but values and the time: `variable` and `window`. Others plug in as a RuleProvider.

A provider gets options in which every `${{ }}` is already looked up. It never waits: it says when it wants to be asked again, and
the rule's deadline is kept by `decide`. A rule that cannot be evaluated has failed and is marked so; nothing is raised.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from agent.model.value import Value

COSTLIEST = 10**7  # steps of the regular expression engine, at worst
LONGEST = 10_000  # characters of a value that is matched
_OFFSET = re.compile(r"(?:UTC)?([+-])(\d{1,2}):(\d{2})")
_REPEAT = re.compile(r"[*+]|\{\d+,\}|\{\d*,\d{3,}\}|\{\d{3,}\}")


class Answer(StrEnum):
    """What a rule says."""

    PASSED = "passed"
    FAILED = "failed"
    WAIT = "wait"


class Verdict(Value, frozen=True, kw_only=True):
    """How a rule stands now. WAIT: ask again at `retry_at`. `errored`: it failed because it could not be evaluated."""

    answer: Answer
    message: str = ""
    retry_at: datetime | None = None
    errored: bool = False


class RuleProvider(Protocol):
    """One kind of rule. Stateless; `context` are the variables of the execution by `namespace.key`."""

    def evaluate(self, options: Mapping[str, object], context: Mapping[str, str], now: datetime) -> Verdict: ...


class VariableRule:
    """`variable` {variable, operator EQ|NE|CONTAINS|MATCHES, value}: compares text, case counts; MATCHES means the whole text."""

    def evaluate(self, options: Mapping[str, object], context: Mapping[str, str], now: datetime) -> Verdict:
        actual, value = str(options.get("variable", "")), str(options.get("value", ""))
        operator = str(options.get("operator", "EQ")).upper()
        if operator == "MATCHES":
            return _matches(actual, value)
        checks = {"EQ": actual == value, "NE": actual != value, "CONTAINS": value in actual}
        if operator not in checks:
            return _error(f"unknown operator {operator}; known: EQ, NE, CONTAINS, MATCHES")
        return _said(checks[operator], f"{actual!r} {operator} {value!r}")


class WindowRule:
    """`window` {cron, timezone}: passes in the minutes that the cron expression names, else waits for the next one."""

    def evaluate(self, options: Mapping[str, object], context: Mapping[str, str], now: datetime) -> Verdict:
        try:
            opens = next_time(str(options.get("cron", "")), str(options.get("timezone", "UTC")), now)
        except (CronSimError, ValueError, OSError) as error:
            return _error(f"{error}")
        if opens is None:
            return Verdict(answer=Answer.FAILED, message="no such time within fifty years")
        if opens <= now:
            return Verdict(answer=Answer.PASSED, message="inside the window")
        return Verdict(answer=Answer.WAIT, message=f"the window opens at {opens.isoformat()}", retry_at=opens)


PROVIDERS: Mapping[str, RuleProvider] = {"variable": VariableRule(), "window": WindowRule()}


def next_time(cron: str, zone: str, now: datetime) -> datetime | None:
    """The start of the first minute, not before the current one, that the expression names; UTC, None if there is none.

    Raises CronSimError or ValueError with the mistake. Seconds of a six-field expression are ignored, as in CodePipeline.
    """
    fields = cron.split()
    if len(fields) not in {5, 6}:
        raise ValueError(f"cron {cron!r}: five fields are needed")
    minute = now.astimezone(timezone_of(zone)).replace(second=0, microsecond=0)
    before = (minute.astimezone(UTC) - timedelta(seconds=1)).astimezone(minute.tzinfo)
    found = next(CronSim(" ".join(fields[-5:]), before), None)
    return found.astimezone(UTC) if found else None


def timezone_of(name: str) -> tzinfo:
    """An IANA zone, or an offset such as UTC+02:00; raises ValueError."""
    offset = _OFFSET.fullmatch(name)
    if offset:
        sign, hours, minutes = offset.groups()
        span = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-span if sign == "-" else span)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}") from error


def _matches(text: str, pattern: str) -> Verdict:
    # the pattern comes from a push, and this engine may need exponential time: what could is not tried
    repeats = len(_REPEAT.findall(pattern))
    if len(text) > LONGEST or (repeats > 1 and len(text) ** repeats > COSTLIEST) or _repeats_a_choice(pattern):
        return _error(f"{pattern!r} is too costly to match; repeat single characters or classes, not groups")
    try:
        return _said(re.fullmatch(pattern, text) is not None, f"{text!r} MATCHES {pattern!r}")
    except (re.error, RecursionError, OverflowError) as error:
        return _error(f"{pattern!r}: {error}")


def _repeats_a_choice(pattern: str) -> bool:
    """Whether a group that holds a repetition or an alternative is itself repeated."""
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]", "x", pattern, flags=re.DOTALL)
    risky: list[bool] = [False]
    for index, char in enumerate(plain):
        if char == "(":
            risky.append(False)
        elif char == ")" and len(risky) > 1:
            inner = risky.pop()
            repeated = plain[index + 1 : index + 2] in {"*", "+", "{"}
            if inner and repeated:
                return True
            risky[-1] = risky[-1] or inner or repeated
        elif char in "*+{|?" and not (char == "?" and plain[index - 1 : index] == "("):
            risky[-1] = True
    return False


def _said(passed: bool, claim: str) -> Verdict:
    answer = Answer.PASSED if passed else Answer.FAILED
    return Verdict(answer=answer, message=claim if passed else f"not true: {claim}")


def _error(message: str) -> Verdict:
    return Verdict(answer=Answer.FAILED, message=message, errored=True)
