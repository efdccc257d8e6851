"""What a pusher sees, line by line."""

from collections.abc import Callable

import pytest

from agent.execution.fold import evolve
from agent.execution.state import ExecutionState
from agent.results.timeline import line_for
from tests.support.stories import Story
from tests.support.tales import CASES


def told(story: Story) -> list[str]:
    lines, state = [], ExecutionState()
    for event in story.events:
        state = evolve(state, event)
        lines.extend(line_for(event, story.execution, story.plan, state))
    return lines


def test_a_success_from_its_start_to_its_end() -> None:
    assert told(CASES["success"]()[0]) == [
        "release #42  started  (push to main by alice)",
        "build  started",
        "build/package  started",
        "build/unit  started",
        "build/package  succeeded in 12s",
        "build/unit  succeeded in 41s",
        "build  succeeded in 41s",
        "staging  started",
        "staging/web  started",
        "staging/web  succeeded in 8.0s",
        "staging  succeeded in 8.0s",
        "sign-off  started",
        "sign-off/qa  waits for approval by qa-lead (not the author of the commit), until 2026-11-30 12:00 UTC",
        "  Check staging  https://staging.example.com",
        "  to approve: git tag -s approve/release/42/sign-off/$USER 3f9c2ab07d51 -m 'your comment'"
        " && git push origin approve/release/42/sign-off/$USER",
        "  to reject:  the same with reject/ in the place of approve/",
        "sign-off/qa  approved by bob: looks fine",
        "sign-off/qa  succeeded in 2h00m",
        "sign-off  succeeded in 2h00m",
        "production  started",
        "production/web  started",
        "production/web  succeeded in 1m05s",
        "production  succeeded in 1m05s",
        "release #42  succeeded in 2h01m",
        "  to read it: git pipeline log release#42",
        "  or with git alone: git fetch origin 'refs/notes/*:refs/notes/*' && git log -1 --notes=pipeline 3f9c2ab07d51",
    ]


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("failure", "build/unit  failed in 39s: exit code 1; 124 tests, 2 failed, 1 skipped"),
        ("failure", "release #42  failed in 39s: stage build failed"),
        ("timeout", "test/slow  failed in 30m00s: ended after 30m, its time limit"),
        ("two_approvals", "sign-off/it's safe (eu)  approved by carol: fine by me; more must agree"),
        ("rejected", "sign-off/qa  rejected by bob: the logo is \\x1b[31mred"),
        ("superseded", "release #42  superseded in 1m11s: superseded by #43 in front of staging"),
        ("stopped", "release #42  asked to stop and to end what runs by bob: wrong branch"),
        ("rollback", "production  is rolled back by release #43"),
        ("retried", "build  runs the failed actions again, asked by alice"),
        ("retried", "build/unit  started (attempt 2)"),
        ("conditions", "production  before_entry office hours failed: closed until 09:00 Europe/Berlin"),
    ],
)
def test_what_else_is_said(case: str, line: str) -> None:
    assert line in told(CASES[case]()[0])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_lines_are_plain_lines(case: Callable[[], list[Story]]) -> None:
    for story in case():
        assert all(char.isprintable() for line in told(story) for char in line)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_event_of_another_plan_breaks_nothing(case: Callable[[], list[Story]]) -> None:
    for story in case():
        for event in story.events:
            line_for(event, story.execution, story.plan.__class__(pipeline="release", stages=()), ExecutionState())
