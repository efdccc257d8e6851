"""Messages of a queue: S3's notifications, events of EventBridge (also through SNS), and what they name. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from agent.model.glob import matches


class Happening(NamedTuple):
    """Something that happened elsewhere. `id` is the same at every delivery; `values` pin the revision."""

    id: str
    kind: str  # s3, ecr, codecommit, event
    subject: str  # bucket/key, repository:tag, repository, or the source of an event
    values: Mapping[str, str]


def read(body: str) -> tuple[Happening, ...]:
    """What a message tells; nothing for one that is of no kind that we know, as S3's test message."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if isinstance(said, dict) and said.get("Type") == "Notification" and isinstance(said.get("Message"), str):
        return read(said["Message"])  # of SNS
    try:
        return tuple(_read(said))
    except (KeyError, TypeError, AttributeError):
        return ()


def _read(said: dict[str, Any]) -> Iterator[Happening]:
    if "Records" in said:
        for record in said["Records"]:
            if record.get("eventSource") == "aws:s3" and str(record.get("eventName", "")).startswith("ObjectCreated"):
                yield _object(record["s3"]["bucket"]["name"], record["s3"]["object"], encoded=True)
        return
    detail = said["detail"]
    match said["source"], said["detail-type"]:
        case "aws.s3", "Object Created":
            yield _object(detail["bucket"]["name"], detail["object"], encoded=False)
        case "aws.ecr", "ECR Image Action" if detail.get("action-type") == "PUSH" and detail.get("result") == "SUCCESS":
            values = {
                "repository": detail["repository-name"],
                "tag": detail.get("image-tag", ""),
                "digest": detail["image-digest"],
            }
            yield Happening(said["id"], "ecr", f"{values['repository']}:{values['tag']}", values)
        case "aws.codecommit", "CodeCommit Repository State Change" if detail.get("event") != "referenceDeleted":
            place = "refs/tags/" if detail.get("referenceType") == "tag" else "refs/heads/"
            values = {
                "ref": place + detail["referenceName"],
                "commit": detail["commitId"],
                "sender": detail.get("callerUserArn", "").rpartition("/")[2],
            }
            yield Happening(said["id"], "codecommit", detail["repositoryName"], values)
        case source, kind:
            yield Happening(said["id"], "event", source, _values(said, source, kind))


def _object(bucket: str, thing: Mapping[str, Any], *, encoded: bool) -> Happening:
    """The version, or where the bucket keeps none the sequencer, tells one content of a key from the next."""
    key = unquote_plus(thing["key"]) if encoded else thing["key"]
    version = thing.get("versionId") or thing.get("version-id") or ""
    etag = thing.get("eTag") or thing.get("etag") or ""
    values = {"bucket": bucket, "key": key, "version": version, "etag": etag}
    return Happening(f"s3:{bucket}/{key}@{version or thing.get('sequencer') or etag}", "s3", f"{bucket}/{key}", values)


def _values(said: Mapping[str, Any], source: str, kind: str) -> dict[str, str]:
    resources = said.get("resources") or [""]
    told = {"source": source, "detail_type": kind, "time": str(said.get("time", "")), "resource": str(resources[0])}
    detail = said["detail"] if isinstance(said["detail"], dict) else {}
    return told | {f"detail.{key}": str(value) for key, value in detail.items() if isinstance(value, str | int | float)}


def fits(pattern: str, subject: str) -> bool:
    """Whether a source of the configuration means it: globs of CodePipeline, `*` does not cross a `/`."""
    return matches(pattern, subject)


def filled(template: str, happening: Happening) -> str:
    """A value for a variable, with `{name}` put in from what happened; what has no value is empty."""
    text = template
    for name, value in {"id": happening.id, **happening.values}.items():
        text = text.replace(f"{{{name}}}", value)
    return text
