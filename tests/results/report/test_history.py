"""The four measures, and which actions are slow and flaky."""

from datetime import timedelta

from agent.model.outcome import Status
from agent.results.report.history import Flaky, Slow, histories
from tests.support.stories import NOON, Story, action, plan, stage

DAY = 86400


def ran(number, *, day, seconds=60.0, good=True, commit=None, attempts=1, pipeline="release"):
    """An execution that began so many days after the first moment."""
    commit = commit or f"{number:040x}"
    moment = NOON + timedelta(days=day)
    story = Story(plan(stage("build", action("unit")), pipeline=pipeline), number=number, commit=commit, created_at=moment)
    story.after(day * DAY).begin().enter("build").start("build", "unit")
    story.after(seconds)
    if good:
        story.end("build", "unit").leave("build").finish()
    else:
        story.fail("build", "unit").leave("build", Status.FAILED).finish(Status.FAILED)
    return story.record


def of(*records, committed=None):
    (found,) = histories(records, committed or {})
    return found


def test_frequency_is_told_by_what_succeeded():
    assert of(*(ran(number, day=number, good=number != 3) for number in range(1, 16))).per_week == 14 / 2
    assert of(ran(1, day=0)).per_week is None


def test_a_short_history_does_not_pretend_to_hundreds_a_week():
    assert of(ran(1, day=0), ran(2, day=0.1)).per_week == 2


def test_lead_time_is_from_the_commit_to_the_end():
    records = [ran(1, day=1), ran(2, day=2, seconds=120), ran(3, day=3, good=False)]
    assert of(*records).lead_time == timedelta(seconds=90)
    committed = {records[0].commit: NOON, records[1].commit: NOON + timedelta(days=2)}
    assert of(*records, committed=committed).lead_time == timedelta(days=0.5, seconds=90)


def test_failure_rate_and_time_to_restore():
    found = of(
        ran(1, day=1),
        ran(2, day=2, good=False),
        ran(3, day=3, good=False),
        ran(4, day=4),
        ran(5, day=5, good=False),
        ran(6, day=8),
        ran(7, day=9, good=False),
    )
    assert (found.succeeded, found.failed, found.failure_rate) == (3, 4, 4 / 7)
    assert found.restore == timedelta(days=2.5)


def test_slow_actions():
    found = of(ran(1, day=1, seconds=10), ran(2, day=2, seconds=30), ran(3, day=3, seconds=500, good=False))
    assert found.slowest == (Slow("build/unit", timedelta(seconds=20), 2),)


def test_an_action_is_flaky_if_it_failed_and_succeeded_on_one_commit():
    same = "a" * 40
    found = of(ran(1, day=1, good=False, commit=same), ran(2, day=2, commit=same), ran(3, day=3, good=False))
    assert found.flaky == (Flaky("build/unit", 1, 2),)
    assert of(ran(1, day=1, good=False), ran(2, day=2)).flaky == ()


def test_each_pipeline_has_its_own():
    found = histories([ran(1, day=1), ran(2, day=2, pipeline="ci")], {})
    assert [(one.pipeline, len(one.records)) for one in found] == [("ci", 1), ("release", 1)]
