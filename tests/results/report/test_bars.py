"""Where the bars of a timeline stand."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.results.report.bars import CUT, Scale, Span, rows
from tests.support.stories import NOON
from tests.support.tales import CASES


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def span(start, end):
    return Span(at(start), at(end))


def test_moments_of_work_are_in_proportion():
    scale = Scale([span(0, 10), span(10, 40)], span(0, 40))
    assert [scale.at(at(moment)) for moment in (0, 10, 20, 40)] == [0, 25, 50, 100]


def test_a_long_wait_is_cut_short():
    scale = Scale([span(0, 50), span(86450, 86500)], span(0, 86500))
    wait = scale.at(at(86450)) - scale.at(at(50))
    assert wait == pytest.approx(100 * CUT / (1 + CUT))
    assert scale.at(at(50)) == pytest.approx(100 - scale.at(at(86450)))


def test_where_nothing_but_waiting_was_done():
    assert Scale([], span(0, 10)).at(at(5)) == 50
    assert Scale([], span(3, 3)).at(at(3)) == 0


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 100)), min_size=1), st.lists(st.integers(-100, 1200), min_size=2))
def test_later_is_never_further_left(work, moments):
    spans = [span(start, start + length) for start, length in work]
    scale = Scale(spans, Span(min(one.start for one in spans), max(one.end for one in spans)))
    places = [scale.at(at(moment)) for moment in sorted(moments)]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= 100


def test_attempts_of_an_action_are_in_one_row():
    (story,) = CASES["retried"]()
    row = next(row for row in rows(story.record) if len(row.bars) > 1)
    assert [bar.status for bar in row.bars] == ["Failed", "Succeeded"]
    assert row.bars[0].left + row.bars[0].width <= row.bars[1].left + 1
    assert row.bars[0].words.startswith("attempt 1: Failed in ")


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_bar_is_on_the_line(name):
    for story in CASES[name]():
        for row in rows(story.record):
            assert all(0 <= bar.left < 100 and bar.width > 0 and bar.left + bar.width <= 100.5 for bar in row.bars)
