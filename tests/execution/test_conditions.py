"""The rules `variable` and `window`."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.execution.conditions import PROVIDERS, Answer, next_time

NOON = datetime(2026, 3, 2, 12, 30, 45, tzinfo=UTC)  # a Monday
PASSED, FAILED, WAIT = Answer.PASSED, Answer.FAILED, Answer.WAIT

VARIABLES = [
    ("EQ", "main", "main", PASSED),
    ("EQ", "Main", "main", FAILED),
    ("eq", "main", "main", PASSED),
    ("NE", "main", "dev", PASSED),
    ("NE", "main", "main", FAILED),
    ("CONTAINS", "release/1.2", "/1.", PASSED),
    ("CONTAINS", "release/1.2", "x", FAILED),
    ("MATCHES", "v1.22.3", r"v\d+\.\d+\.\d+", PASSED),
    ("MATCHES", "v1.22.3-rc", r"v\d+\.\d+\.\d+", FAILED),  # the whole text, as in Java
    ("MATCHES", "main", "(main|dev)", PASSED),
]


@pytest.mark.parametrize(("operator", "actual", "value", "answer"), VARIABLES)
def test_variable(operator: str, actual: str, value: str, answer: Answer):
    options = {"variable": actual, "operator": operator, "value": value}
    verdict = PROVIDERS["variable"].evaluate(options, {}, NOON)
    assert (verdict.answer, verdict.errored) == (answer, False)


@pytest.mark.parametrize(
    ("operator", "actual", "value"),
    [
        ("LIKE", "a", "a"),
        ("MATCHES", "a", "("),
        ("MATCHES", "a" * 40, "(a+)+b"),
        ("MATCHES", "a" * 40, "(a|a)*b"),
        ("MATCHES", "a" * 40, "((a?)x?)*b"),
        ("MATCHES", "a" * 5000, ".*.*.*.*b"),
        ("MATCHES", "a" * 20_000, "a"),
    ],
)
def test_a_variable_that_cannot_be_judged_fails_and_says_so(operator: str, actual: str, value: str):
    verdict = PROVIDERS["variable"].evaluate({"variable": actual, "operator": operator, "value": value}, {}, NOON)
    assert (verdict.answer, verdict.errored) == (FAILED, True)


WINDOWS = [
    ("* 9-16 * * 1-5", "UTC", PASSED, None),
    ("* * 9-16 * * 1-5", "UTC", PASSED, None),  # six fields: seconds are ignored
    ("30 12 * * *", "UTC", PASSED, None),
    ("31 12 * * *", "UTC", WAIT, NOON.replace(minute=31, second=0)),
    ("0-59 14-16 * * MON", "UTC", WAIT, NOON.replace(hour=14, minute=0, second=0)),
    ("* 13 * * *", "Europe/Berlin", PASSED, None),
    ("* 9 * * 2", "Europe/Berlin", WAIT, datetime(2026, 3, 3, 8, 0, tzinfo=UTC)),
    ("* 14 * * *", "UTC+02:00", PASSED, None),
]


@pytest.mark.parametrize(("cron", "zone", "answer", "opens"), WINDOWS)
def test_window(cron: str, zone: str, answer: Answer, opens: datetime | None):
    verdict = PROVIDERS["window"].evaluate({"cron": cron, "timezone": zone}, {}, NOON)
    assert (verdict.answer, verdict.retry_at) == (answer, opens)
    if opens:
        assert PROVIDERS["window"].evaluate({"cron": cron, "timezone": zone}, {}, opens).answer is PASSED


def test_a_window_is_open_through_the_whole_of_its_minutes():
    day = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # clocks in Berlin go forward
    for minute in range(0, 600, 7):
        now = day + timedelta(minutes=minute, seconds=59)
        opens = next_time("* 3-6 * * *", "Europe/Berlin", now)
        assert opens is not None
        assert (opens <= now) == (1 <= now.hour <= 4), now


@pytest.mark.parametrize(
    ("cron", "zone"), [("x", "UTC"), ("* * * *", "UTC"), ("61 * * * *", "UTC"), ("* * * * *", "Mars/Phobos")]
)
def test_a_window_that_cannot_be_read_fails_and_says_so(cron: str, zone: str):
    verdict = PROVIDERS["window"].evaluate({"cron": cron, "timezone": zone}, {}, NOON)
    assert (verdict.answer, verdict.errored, bool(verdict.message)) == (FAILED, True, True)
