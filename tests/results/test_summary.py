"""The words and numbers that people read everywhere."""

import shlex
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.execution import Rollback, TriggerType
from agent.model.outcome import Reason, Status
from agent.model.plan import Group
from agent.results import summary
from agent.results.record import AttemptRecord


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (3.44, "3.4s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (72, "1m12s"),
        (3599.6, "1h00m"),
        (7500, "2h05m"),
        (86400 * 3 + 4 * 3600, "3d04h"),
        (-5, "0.0s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert summary.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (999_600, "1.0 MB"), (250_000, "250 kB")],
)
def test_sizes(count: int, text: str) -> None:
    assert summary.size(count) == text


@given(st.text())
def test_foreign_text_stays_on_its_line_and_cannot_be_obeyed(text: str) -> None:
    for shown in (summary.clean(text), summary.line(text)):
        assert len(shown) <= 200
        assert shown.replace("…", "").isprintable() or not shown.isascii()
        assert not set(shown) & {"\n", "\r", "\x1b", "\x07", "\u202e", "\u2028"}


@pytest.mark.parametrize(
    ("trigger", "ref", "actor", "text"),
    [
        (TriggerType.PUSH, "refs/heads/main", "alice", "push to main by alice"),
        (TriggerType.PUSH, "refs/heads/main", "", "push to main"),
        (TriggerType.TAG, "refs/tags/v1.2", "alice", "push of tag v1.2 by alice"),
        (TriggerType.SCHEDULE, "refs/heads/main", "", "schedule on main"),
        (TriggerType.MANUAL, "refs/heads/main", "bob", "started on main by bob"),
    ],
)
def test_causes(trigger: TriggerType, ref: str, actor: str, text: str) -> None:
    assert summary.cause(trigger, ref, actor) == text


def test_the_cause_of_a_rollback() -> None:
    back = Rollback(stage="production", target="0" * 26, target_number=40)
    assert summary.cause(TriggerType.ROLLBACK, "refs/heads/main", "bob", back) == "rollback of production to #40 by bob"


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        ((), "an operator"),
        ((Group(any_of=("qa", "ops")),), "qa or ops"),
        ((Group(any_of=("qa", "ops"), count=2), Group(any_of=("sec",))), "2 of (qa, ops) and sec"),
    ],
)
def test_who_is_asked(groups: tuple[Group, ...], text: str) -> None:
    assert summary.asked(groups) == text


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words(reason: Reason) -> None:
    assert summary.why(AttemptRecord(status=Status.FAILED, reason=reason))


def test_an_exit_code_says_enough() -> None:
    attempt = AttemptRecord(status=Status.FAILED, reason=Reason.EXIT, exit_code=3, message="the script ended with 3")
    assert summary.why(attempt) == "exit code 3"


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=40))
def test_a_quoted_word_is_one_word_to_a_shell(word: str) -> None:
    assert shlex.split(summary.quoted(word)) == [word]
