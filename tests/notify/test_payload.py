"""The shapes of CodePipeline, and ours."""

import json

import pytest

from agent.model.execution import TriggerType
from agent.model.outcome import Status
from agent.notify import payload
from tests.support.notices import RELEASE, asks, fails, one, told
from tests.support.stories import COMMIT, Story


def test_an_approval_is_codepipelines_message():
    message = payload.approval(one("approval.needed"), "us-east-2", "https://git.example.com/c")
    assert message["region"] == "us-east-2"
    assert set(message["approval"]) == {
        "pipelineName", "stageName", "actionName", "token", "expires", "externalEntityLink", "approvalReviewLink", "customData",
    }  # fmt: skip
    assert message["approval"]["pipelineName"] == "release"
    assert message["approval"]["expires"] == "2026-11-30T12:00Z"
    assert message["approval"]["customData"] == "Check staging"
    assert any("git" in line for line in message["howTo"])


def test_a_pipeline_event():
    notice = one("execution.failed")
    assert payload.detail_type(notice) == "CodePipeline Pipeline Execution State Change"
    assert payload.detail(notice, "eu-west-1") == {
        "pipeline": "release",
        "execution-id": notice.execution.id,
        "start-time": "2026-11-23T12:00:00.000Z",
        "execution-trigger": {
            "trigger-type": "push", "trigger-detail": "refs/heads/main", "commit-id": COMMIT, "author-display-name": "alice",
            "branch-name": "main",
        },
        "state": "FAILED",
        "version": 1.0,
        "pipeline-execution-attempt": 1.0,
    }  # fmt: skip


def test_a_stage_event():
    detail = payload.detail(one("stage.started"), "eu-west-1")
    assert (detail["stage"], detail["state"]) == ("build", "STARTED")
    assert "action" not in detail


def test_an_action_event_has_its_type_and_its_result():
    detail = payload.detail(one("action.failed"), "eu-west-1")
    assert detail["type"] == {"owner": "Custom", "provider": "Commands", "category": "Build", "version": "1"}
    assert detail["execution-result"]["external-execution-summary"] == "exit code 2"
    assert detail["execution-result"]["error-code"] == "JobFailed"
    assert "execution-result" not in payload.detail(one("action.started"), "eu-west-1")


def test_an_approval_is_an_action_that_started():
    notice = one("approval.needed")
    assert payload.detail_type(notice) == "CodePipeline Action Execution State Change"
    detail = payload.detail(notice, "eu-west-1")
    assert (detail["state"], detail["type"]["category"]) == ("STARTED", "Approval")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (Status.STOPPED, "STOPPED"),
        (Status.CANCELLED, "CANCELED"),
        (Status.SUPERSEDED, "SUPERSEDED"),
        (Status.SUCCEEDED, "SUCCEEDED"),
    ],
)
def test_the_words_of_codepipeline(status, word):
    assert payload.state(list(told(asks().finish(status)))[-1]) == word


def test_the_processed_form_counts_failures():
    message = payload.processed(one("execution.failed"), "eu-west-1", "123456789012")
    assert message["detailType"] == "CodePipeline Pipeline Execution State Change"
    assert message["additionalAttributes"]["failedActionCount"] == 1
    assert message["additionalAttributes"]["failedStage"] == "build"


def test_the_document_is_json_and_names_both_ids():
    document = json.loads(payload.encoded(payload.document(one("stage.failed"), "")))
    assert document["event"] == "stage.failed"
    assert document["codepipeline_event"] == "codepipeline-pipeline-stage-execution-failed"
    assert document["failures"] == [{"stage": "build", "action": "unit", "message": "exit code 2"}]
    assert document["commit"] == COMMIT


def test_a_subject_is_one_short_line_of_ascii():
    story = Story(RELEASE, actor="x", trigger=TriggerType.TAG, ref="refs/tags/v1").begin()
    notice = next(told(story))
    assert payload.subject(notice) == "release #42 started"
    assert payload.subject(one("approval.needed")) == "release #42: sign-off/qa waits for an approval"


def test_a_subject_cannot_start_another_header():
    from msgspec.structs import replace

    notice = replace(one("stage.started"), stage="a\r\nBcc: all@example.com" + "x" * 200)
    subject = payload.subject(notice)
    assert "\n" not in subject
    assert "\r" not in subject
    assert len(subject) == 100


def test_the_text_names_the_failures():
    assert "failed: build/unit: exit code 2" in payload.text(one("execution.failed", fails()), "")
