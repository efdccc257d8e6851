from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.artifacts import retention
from agent.artifacts.base import Stored
from agent.artifacts.retention import Holding

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


def ago(days):
    return NOW - timedelta(days=days)


def held(name, days, *, stages=(), digests=(), pipeline="release", target=""):
    ended = None if days is None else ago(days)
    return Holding(
        execution=name,
        pipeline=pipeline,
        ended_at=ended,
        succeeded=dict.fromkeys(stages, ended or NOW),
        digests=tuple(digests or (f"d-{name}",)),
        target=target,
    )


def gone(holdings, days=60, extra=()):
    digests = {digest for one in holdings for digest in one.digests} | set(extra)
    stored = [Stored(digest, 1, ago(days)) for digest in sorted(digests)]
    return {one.digest for one in retention.artifacts(holdings, stored, MONTH, NOW)}


def test_old_ones_go_young_ones_stay():
    assert gone([held("old", 31), held("young", 29)]) == {"d-old"}


def test_what_runs_stays_however_long_ago_it_began():
    assert gone([held("waits", None), held("old", 400)]) == {"d-old"}


def test_the_last_two_successes_of_each_stage_stay():
    holdings = [
        held("1", 90, stages=("build", "production")),
        held("2", 80, stages=("build", "production")),
        held("3", 70, stages=("build",)),
        held("4", 60, stages=("build",)),
        held("5", 50),
    ]
    assert gone(holdings) == {"d-5"}
    assert gone([*holdings, held("6", 40, stages=("production",))]) == {"d-5", "d-1"}


def test_stages_of_different_pipelines_do_not_mix():
    holdings = [held(str(n), 90 - n, stages=("build",), pipeline=name) for n, name in enumerate(("a", "a", "b", "b"))]
    assert gone(holdings) == set()


def test_a_rollback_keeps_the_artifacts_of_its_target():
    holdings = [
        held("1", 90, stages=("production",)),
        held("2", 80, stages=("production",)),
        held("3", 70, stages=("production",)),
        held("back", 60, stages=("production",), target="1"),
    ]
    assert gone(holdings) == {"d-2"}


def test_an_artifact_that_a_young_one_made_too_stays():
    assert gone([held("old", 60, digests=("same",)), held("young", 1, digests=("same",))]) == set()


def test_unknown_archives_go_but_not_fresh_ones():
    assert gone([], days=2, extra=("x",)) == {"x"}
    assert gone([], days=0.5, extra=("x",)) == set()


def test_executions():
    holdings = [held("1", 100), held("2", 95, stages=("build",)), held("3", 10), held("4", None)]
    assert retention.executions(holdings, timedelta(days=90), NOW) == ("1",)


stages = st.lists(st.sampled_from(["build", "test", "production"]), unique=True)
holding = st.tuples(st.one_of(st.none(), st.integers(0, 200)), stages, st.lists(st.integers(0, 5), max_size=2), st.integers(0, 8))


@given(st.lists(holding, max_size=9))
def test_what_is_needed_never_goes(rows):
    holdings = [
        held(str(index), days, stages=done, digests=[str(one) for one in digests], target=str(target))
        for index, (days, done, digests, target) in enumerate(rows)
    ]
    lost = gone(holdings)
    for one in holdings:
        if one.ended_at is None or one.ended_at >= NOW - MONTH:
            assert not lost & set(one.digests)
    for stage in ("build", "test", "production"):
        winners = [one for one in holdings if stage in one.succeeded]
        if winners:
            last = max(winners, key=lambda one: (one.succeeded[stage], one.execution))
            assert not lost & set(last.digests)
