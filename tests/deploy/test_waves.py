"""Strategies are plans: the exact waves, and what holds for every fleet."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.definition.deployment import STRATEGIES as NAMES
from agent.deploy.health import Tolerance
from agent.deploy.waves import ALIASES, STRATEGIES, Pace, Standing, Target, rollout, shares
from agent.errors import DefinitionError
from agent.model.amount import amount


def fleet(count, **fields):
    return [Target(name=f"h{number}", **fields) for number in range(1, count + 1)]


def shape(found):
    return [len(wave.hosts) for wave in found.waves]


@pytest.mark.parametrize(
    ("pace", "count", "sizes"),
    [
        (Pace(strategy="all-at-once"), 5, [5]),
        (Pace(strategy="one-at-a-time"), 3, [1, 1, 1]),
        (Pace(strategy="half"), 9, [4, 4, 1]),
        (Pace(strategy="half"), 1, [1]),
        (Pace(strategy="rolling"), 8, [2, 2, 2, 2]),
        (Pace(strategy="rolling", batch=amount("3")), 8, [3, 3, 2]),
        (Pace(strategy="rolling", batch=amount("25%")), 10, [3, 3, 3, 1]),
        (Pace(strategy="rolling", minimum=amount("8")), 10, [2, 2, 2, 2, 2]),
        (Pace(strategy="rolling", batch=amount("5"), minimum=amount("8")), 10, [2, 2, 2, 2, 2]),
        (Pace(strategy="canary"), 5, [1, 4]),
        (Pace(strategy="canary", canary=amount("10%"), batch=amount("4")), 10, [1, 4, 4, 1]),
        (Pace(strategy="canary", canary=amount("7")), 3, [3]),
        (Pace(strategy="CodeDeployDefault.HalfAtATime"), 9, [4, 4, 1]),
        (Pace(strategy="CodeDeployDefault.OneAtATime"), 10, [1] * 10),
        (Pace(strategy="CodeDeployDefault.AllAtOnce"), 4, [4]),
    ],
)
def test_the_sizes_of_waves(pace, count, sizes):
    assert shape(rollout(pace, fleet(count))) == sizes


def test_unhealthy_hosts_come_first_and_current_ones_last():
    targets = [
        Target(name="current", standing=Standing.CURRENT),
        Target(name="old", standing=Standing.OLD),
        Target(name="unknown", standing=Standing.UNKNOWN),
        Target(name="sick", standing=Standing.UNHEALTHY),
    ]
    found = rollout(Pace(strategy="one-at-a-time"), targets)
    assert [wave.hosts[0] for wave in found.waves] == ["sick", "unknown", "old", "current"]


def test_zone_by_zone():
    targets = [Target(name=f"{zone}{number}", zone=zone) for number in (1, 2, 3) for zone in ("b", "a")]
    found = rollout(Pace(strategy="rolling", batch=amount("2"), zones=True), targets)
    assert [wave.hosts for wave in found.waves] == [("a1", "a2"), ("a3",), ("b1", "b2"), ("b3",)]


def test_a_canary_is_watched_before_the_rest():
    found = rollout(Pace(strategy="canary", bake=timedelta(minutes=5)), fleet(4))
    assert [wave.bake for wave in found.waves] == [timedelta(minutes=5), timedelta()]


@pytest.mark.parametrize(
    ("strategy", "rule"),
    [
        ("CodeDeployDefault.OneAtATime", Tolerance(total=4, minimum=3)),
        ("CodeDeployDefault.HalfAtATime", Tolerance(total=4, minimum=2)),
        ("CodeDeployDefault.AllAtOnce", Tolerance(total=4, minimum=0)),
        ("rolling", Tolerance(total=4, minimum=0, strict=True)),
    ],
)
def test_codedeploys_names_bear_failures_and_ours_do_not(strategy, rule):
    assert rollout(Pace(strategy=strategy), fleet(4)).rule == rule


def test_every_strategy_of_the_language_is_a_plan():
    assert set(STRATEGIES) | set(ALIASES) == set(NAMES)


def test_a_minimum_that_leaves_no_host_is_refused():
    with pytest.raises(DefinitionError, match="2 of 2 hosts have to stay healthy"):
        rollout(Pace(minimum=amount("2")), fleet(2))


@given(
    strategy=st.sampled_from([*STRATEGIES, *ALIASES]),
    count=st.integers(1, 60),
    batch=st.sampled_from([None, amount("1"), amount("7"), amount("30%")]),
    minimum=st.sampled_from([None, amount("0"), amount("20%"), amount("50%")]),
    zones=st.booleans(),
    data=st.data(),
)
def test_every_host_is_in_exactly_one_wave_and_no_wave_goes_below_the_minimum(strategy, count, batch, minimum, zones, data):
    targets = [Target(name=f"h{n}", zone=data.draw(st.sampled_from("abc"))) for n in range(count)]
    found = rollout(Pace(strategy=strategy, batch=batch, minimum=minimum, zones=zones), targets)
    hosts = [host for wave in found.waves for host in wave.hosts]
    assert sorted(hosts) == sorted(target.name for target in targets)
    if strategy != "canary":
        assert all(len(wave.hosts) <= found.rule.at_once for wave in found.waves)


@pytest.mark.parametrize(
    ("canary", "batch", "steps"),
    [
        (None, None, (100,)),
        ("10%", None, (10, 100)),
        (None, "25%", (25, 50, 75, 100)),
        ("10%", "45%", (10, 55, 100)),
        ("100%", None, (100,)),
    ],
)
def test_shares_of_the_traffic_between_two_fleets(canary, batch, steps):
    pace = Pace(strategy="blue-green", canary=amount(canary or ""), batch=amount(batch or ""))
    assert shares(pace) == steps
