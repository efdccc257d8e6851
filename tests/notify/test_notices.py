"""Events of a journal, and what they are to the outside."""

import pytest

from agent.execution.events import StageRetried, StopRequested
from agent.model.notice import EVENTS
from agent.model.outcome import Status
from agent.model.plan import RetryMode
from tests.support.notices import asks, fails, one, rejected, told


def names(story):
    return [notice.event for notice in told(story)]


def test_a_run_that_asks():
    assert names(asks()) == [
        "execution.started", "stage.started", "action.started", "action.started", "action.succeeded", "action.succeeded",
        "stage.succeeded", "stage.started", "approval.needed",
    ]  # fmt: skip


def test_what_is_asked():
    notice = one("approval.needed")
    assert notice.provider == "approval"
    assert notice.question.message == "Check staging"
    assert notice.question.url == "https://staging.example.com"
    assert notice.question.deadline > notice.at
    assert any("approve/release/42/sign-off" in line for line in notice.lines)


def test_an_answer():
    assert names(rejected())[-1] == "approval.failed"
    assert names(asks().end("sign-off", "qa"))[-1] == "approval.succeeded"
    assert names(asks().end("sign-off", "qa", status=Status.ABANDONED))[-1] == "approval.failed"


def test_a_failure_names_the_actions():
    notice = one("execution.failed")
    assert [(each.stage, each.action, each.message) for each in notice.failures] == [("build", "unit", "exit code 2")]
    assert one("stage.failed").failures == notice.failures
    assert names(fails())[-3:] == ["action.failed", "stage.failed", "execution.failed"]


def test_a_retry_is_resumed_and_not_started_again():
    story = fails().tell(StageRetried, stage="build", mode=RetryMode.FAILED_ACTIONS, by="alice").enter("build")
    assert names(story)[-2:] == ["execution.resumed", "stage.resumed"]
    assert list(told(story))[-1].attempt == 2


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (Status.SUCCEEDED, "execution.succeeded"),
        (Status.FAILED, "execution.failed"),
        (Status.STOPPED, "execution.stopped"),
        (Status.CANCELLED, "execution.stopped"),
        (Status.SUPERSEDED, "execution.superseded"),
    ],
)
def test_every_end(status, event):
    assert names(asks().finish(status))[-1] == event


def test_a_stop_that_was_asked():
    notice = list(told(asks().tell(StopRequested, by="alice", reason="wrong commit")))[-1]
    assert (notice.event, notice.message) == ("execution.stopping", "wrong commit")


def test_a_skipped_stage_is_silent():
    assert names(asks().leave("sign-off", Status.SKIPPED))[-1] == "approval.needed"


def test_ids_differ_and_stay():
    ids = [notice.id for notice in told(fails())]
    assert len(ids) == len(set(ids))
    assert ids == [notice.id for notice in told(fails())]


def test_every_event_has_its_own_id_of_codepipeline():
    known = [other for other in EVENTS.values() if other]
    assert len(known) == len(set(known)) == 18
