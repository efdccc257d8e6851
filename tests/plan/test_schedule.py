"""Due times, above all where clocks change."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import DefinitionError, EnvironmentFault
from agent.model.trigger import ScheduleTrigger
from agent.plan.schedule import due, next_due


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def schedule(cron, timezone="Europe/Berlin"):
    return ScheduleTrigger(cron=cron, timezone=timezone, branch="main")


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 3 * * 1-5", "2026-01-02 01:59", "2026-01-02 02:00"),  # winter: UTC+1
        ("0 3 * * 1-5", "2026-01-02 02:00", "2026-01-05 02:00"),  # later than, not equal; over the weekend
        ("0 3 * * *", "2026-07-01 00:00", "2026-07-01 01:00"),  # summer: UTC+2
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 01:00"),  # 02:30 does not exist: 03:00 summer time
        ("30 2 * * *", "2026-03-29 01:00", "2026-03-30 00:30"),  # and only once
        ("30 2 * * *", "2026-10-24 12:00", "2026-10-25 00:30"),  # 02:30 comes twice: the first
        ("30 2 * * *", "2026-10-25 00:30", "2026-10-26 01:30"),
        ("30 2 * * *", "2026-10-25 01:15", "2026-10-26 01:30"),  # asked inside the second hour
        ("30 * * * *", "2026-10-25 00:30", "2026-10-25 01:30"),  # hourly jobs keep going through both
        ("0 0 29 2 *", "2026-01-01 00:00", "2028-02-28 23:00"),
    ],
)
def test_next_due(cron, after, expected):
    assert next_due(schedule(cron), at(after)) == at(expected)


def test_nothing_is_due_on_a_day_that_never_comes():
    assert next_due(schedule("0 0 */31 1 MON#5"), at("2026-01-01 00:00")) is None


def test_only_the_last_missed_start_is_due():
    assert due(schedule("0 3 * * *"), at("2025-01-01 00:00"), at("2026-01-02 12:00")) == at("2026-01-02 02:00")


def test_the_interval_is_open_below_and_closed_above():
    three = at("2026-01-02 02:00")
    assert due(schedule("0 3 * * *"), three - timedelta(seconds=1), three) == three
    assert due(schedule("0 3 * * *"), three, three + timedelta(hours=1)) is None


@pytest.mark.parametrize("zone", ["", "UTC"])
def test_utc_needs_no_zone_data(zone):
    assert next_due(schedule("0 3 * * *", zone), at("2026-01-01 00:00")) == at("2026-01-01 03:00")


def test_an_unknown_zone_is_told():
    with pytest.raises(EnvironmentFault, match="Europe/Atlantis"):
        next_due(schedule("0 3 * * *", "Europe/Atlantis"), at("2026-01-01 00:00"))


def test_a_malformed_expression_is_told():
    with pytest.raises(DefinitionError, match="61"):
        next_due(schedule("61 * * * *"), at("2026-01-01 00:00"))


moments = st.integers(0, 16 * 24 * 60).map(lambda minutes: at("2026-03-20 00:00") + timedelta(minutes=minutes))


@given(st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 */3 * * *", "15 1-4 * * 0", "0 12 1 4 *"]), moments, moments)
def test_due_is_the_last_of_the_next_ones(cron, since, until):
    """Bisection finds what walking from start to start finds, over a change of clocks."""
    last, walker = None, next_due(schedule(cron), since)
    while walker is not None and walker <= until:
        last, walker = walker, next_due(schedule(cron), walker)
    assert due(schedule(cron), since, until) == last
