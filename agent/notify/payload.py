"""What a notice looks like on its way: as text, as JSON, and in the shapes of CodePipeline (codepipeline.md 2.8). Pure."""

import json
from datetime import datetime
from typing import Any

from agent.model.notice import EVENTS, MESSAGE, Notice
from agent.model.outcome import Status

SCHEMA = 1  # of `document`; grows where the meaning of a key changes
SOURCE = "git-pipeline"  # EventBridge keeps names that begin with aws. for itself
_LEVELS = {"execution": "Pipeline", "stage": "Stage", "action": "Action", "approval": "Action"}
_STATES = {"needed": "STARTED"}
_CATEGORIES = {"run": ("Build", "Commands"), "deploy": ("Deploy", "CodeDeploy"), "approval": ("Approval", "Manual")}


def subject(notice: Notice) -> str:
    """One line of at most 100 characters that are all printable ASCII, as SNS and mail want it."""
    place = f": {notice.stage}" + (f"/{notice.action}" if notice.action else "") if notice.stage else ""
    word = "waits for an approval" if notice.event == "approval.needed" else notice.event.partition(".")[2]
    text = notice.subject or f"{notice.execution.label}{place} {word}"
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:100]


def text(notice: Notice, link: str) -> str:
    """What a person reads."""
    execution = notice.execution
    lines = [
        *(notice.lines or (subject(notice),)),
        f"commit {execution.commit[:12]} of {execution.ref}, by {execution.actor or '?'}",
    ]
    lines += [f"failed: {one.stage}/{one.action}" + (f": {one.message}" if one.message else "") for one in notice.failures]
    return "\n".join([*lines, *(line for line in (notice.link, link) if line)])


def document(notice: Notice, link: str) -> dict[str, Any]:
    """What a machine reads that is not of AWS: flat, with the notice's id, for webhooks and commands."""
    execution, question = notice.execution, notice.question
    return {
        "schema": SCHEMA,
        "id": notice.id,
        "event": notice.event,
        "codepipeline_event": EVENTS.get(notice.event, ""),
        "at": _iso(notice.at),
        "pipeline": execution.pipeline,
        "number": execution.number,
        "execution": execution.id,
        "commit": execution.commit,
        "ref": execution.ref,
        "trigger": execution.trigger,
        "actor": execution.actor,
        "status": notice.status,
        "stage": notice.stage,
        "action": notice.action,
        "attempt": notice.attempt,
        "message": notice.message,
        "text": text(notice, link),
        "failures": [{"stage": one.stage, "action": one.action, "message": one.message} for one in notice.failures],
        "approval": question and {"message": question.message, "url": question.url, "expires": _iso(question.deadline)},
        "link": link,
    }


def approval(notice: Notice, region: str, link: str) -> dict[str, Any]:
    """CodePipeline's message of an approval that is needed; `howTo` is ours: the commands that answer it."""
    question = notice.question
    assert question, notice.event
    return {
        "region": region,
        "consoleLink": link,
        "approval": {
            "pipelineName": notice.execution.pipeline,
            "stageName": notice.stage,
            "actionName": notice.action,
            "token": question.token,
            "expires": f"{question.deadline:%Y-%m-%dT%H:%MZ}" if question.deadline else "",
            "externalEntityLink": question.url,
            "approvalReviewLink": link,
            "customData": question.message,
        },
        "howTo": list(notice.lines),
    }


def detail_type(notice: Notice) -> str:
    """CodePipeline Stage Execution State Change, for one; a message of a pipeline is no event of CodePipeline."""
    if notice.event == MESSAGE:
        return "Pipeline Message"
    return f"CodePipeline {_LEVELS[notice.event.partition('.')[0]]} Execution State Change"


def detail(notice: Notice, region: str) -> dict[str, Any]:
    """The detail of CodePipeline's event, with its keys."""
    execution = notice.execution
    shown: dict[str, Any] = {
        "pipeline": execution.pipeline,
        "execution-id": execution.id,
        "start-time": _iso(notice.started_at or execution.created_at),
        "execution-trigger": _trigger(notice),
        "state": state(notice),
        "version": 1.0,
        "pipeline-execution-attempt": float(notice.attempt),
    }
    if notice.event == "execution.stopping":
        shown["stop-execution-comments"] = notice.message
    if notice.event == MESSAGE:
        shown |= {"subject": subject(notice), "message": notice.message}
    if notice.stage:
        shown["stage"] = notice.stage
    return shown | (_action(notice, region) if notice.action else {})


def state(notice: Notice) -> str:
    """The word of CodePipeline's events (codepipeline.md 2.7)."""
    if notice.status in {Status.ABANDONED, Status.CANCELLED}:
        return {Status.ABANDONED: "ABANDONED", Status.CANCELLED: "CANCELED"}[notice.status]
    word = notice.event.partition(".")[2]
    return _STATES.get(word, word.upper())


def processed(notice: Notice, region: str, account: str) -> dict[str, Any]:
    """The message of a notification rule: CodePipeline's "processed" form of the event."""
    more: dict[str, Any] = {}
    if notice.failures:
        more = {
            "failedActionCount": len(notice.failures),
            "failedActions": [
                {"action": one.action, "additionalInformation": one.message or "it failed"} for one in notice.failures
            ],
            "failedStage": notice.failures[0].stage,
        }
    return {
        "account": account,
        "detailType": detail_type(notice),
        "region": region,
        "source": SOURCE,
        "time": _iso(notice.at),
        "notificationRuleArn": "",
        "detail": detail(notice, region),
        "resources": [resource(notice)],
        "additionalAttributes": {**more, "text": "\n".join(notice.lines)},
    }


def resource(notice: Notice) -> str:
    """What stands where CodePipeline has the pipeline's ARN."""
    return f"git-pipeline:{notice.execution.pipeline}"


def encoded(value: dict[str, Any]) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _trigger(notice: Notice) -> dict[str, str]:
    execution = notice.execution
    branch, tag = (execution.ref.removeprefix(prefix) for prefix in ("refs/heads/", "refs/tags/"))
    name = {"branch-name": branch} if branch != execution.ref else {"tag-name": tag} if tag != execution.ref else {}
    return {
        "trigger-type": execution.trigger,
        "trigger-detail": execution.ref,
        "commit-id": execution.commit,
        "author-display-name": execution.actor,
        **name,
    }


def _action(notice: Notice, region: str) -> dict[str, Any]:
    category, provider = _CATEGORIES.get(notice.provider, ("Invoke", notice.provider))
    shown: dict[str, Any] = {
        "action": notice.action,
        "region": region,
        "type": {"owner": "Custom", "provider": provider, "category": category, "version": "1"},
        "output-artifacts": [{"name": name} for name in notice.artifacts],
    }
    if state(notice) != "STARTED":
        shown["execution-result"] = {
            "external-execution-url": notice.link,
            "external-execution-summary": notice.message,
            "external-execution-id": notice.id,
            "error-code": "" if notice.status is Status.SUCCEEDED else "JobFailed",
        }
    return shown


def _iso(time: datetime | None) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z" if time else ""
