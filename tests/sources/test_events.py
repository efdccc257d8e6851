"""Messages as AWS sends them, and what they pin."""

import json

import pytest

from agent.sources.events import Happening, filled, read

S3 = {
    "Records": [
        {
            "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "in"},
                "object": {"key": "builds/a+b%2B.zip", "versionId": "v7", "eTag": "e", "sequencer": "1"},
            },
        },
        {"eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete", "s3": {"bucket": {"name": "in"}, "object": {"key": "x"}}},
    ]
}  # fmt: skip
HEAD = {"version": "0", "id": "e-1", "account": "1", "time": "2026-11-23T12:00:00Z", "region": "eu-west-1", "resources": []}
BRIDGE = HEAD | {
    "source": "aws.s3", "detail-type": "Object Created",
    "detail": {"bucket": {"name": "in"}, "object": {"key": "a b.zip", "version-id": "v8", "etag": "e"}},
}  # fmt: skip
ECR = HEAD | {
    "source": "aws.ecr", "detail-type": "ECR Image Action",
    "detail": {"action-type": "PUSH", "result": "SUCCESS", "repository-name": "acme/base", "image-tag": "latest",
               "image-digest": "sha256:1"},
}  # fmt: skip
NIGHTLY = HEAD | {
    "source": "aws.events", "detail-type": "Scheduled Event", "detail": {},
    "resources": ["arn:aws:events:eu-west-1:1:rule/nightly"],
}  # fmt: skip
COMMIT = HEAD | {
    "source": "aws.codecommit", "detail-type": "CodeCommit Repository State Change",
    "detail": {"event": "referenceUpdated", "repositoryName": "site", "referenceType": "branch", "referenceName": "main",
               "commitId": "c" * 40, "callerUserArn": "arn:aws:iam::1:user/alice"},
}  # fmt: skip


def only(said):
    found = read(json.dumps(said))
    assert len(found) == 1
    return found[0]


def test_an_object_by_the_notification_of_a_bucket():
    found = only(S3)
    assert found == Happening(
        "s3:in/builds/a b+.zip@v7",
        "s3",
        "in/builds/a b+.zip",
        {"bucket": "in", "key": "builds/a b+.zip", "version": "v7", "etag": "e"},
    )


def test_an_object_by_eventbridge():
    found = only(BRIDGE)
    assert (found.id, found.subject, found.values["version"]) == ("s3:in/a b.zip@v8", "in/a b.zip", "v8")


def test_a_bucket_without_versions_still_tells_one_content_from_the_next():
    said = json.loads(json.dumps(S3))
    del said["Records"][0]["s3"]["object"]["versionId"]
    assert only(said).id.endswith("@1")


def test_an_image():
    found = only(ECR)
    assert (found.kind, found.subject, found.values["digest"]) == ("ecr", "acme/base:latest", "sha256:1")


def test_a_schedule():
    found = only(NIGHTLY)
    assert (found.kind, found.subject, found.id) == ("event", "aws.events", "e-1")
    assert found.values["resource"].endswith("rule/nightly")


def test_a_change_in_codecommit():
    found = only(COMMIT)
    assert found.values == {"ref": "refs/heads/main", "commit": "c" * 40, "sender": "alice"}


def test_through_sns():
    assert read(json.dumps({"Type": "Notification", "Message": json.dumps(ECR)})) == read(json.dumps(ECR))


@pytest.mark.parametrize(
    "said",
    ["", "no json", "[]", "1", "{}", '{"Service":"Amazon S3","Event":"s3:TestEvent"}', '{"Records": [{}]}', "[" * 100_000,
     json.dumps(ECR | {"detail": {"action-type": "DELETE"}}), json.dumps(ECR | {"detail": None})],
)  # fmt: skip
def test_anything_else_is_nothing(said):
    assert [found for found in read(said) if found.kind != "event"] == []


def test_values_are_put_in_as_they_are():
    happening = only(HEAD | {"source": "my.app", "detail-type": "built", "detail": {"name": "x", "count": 3, "deep": {}}})
    assert filled("{detail.name}-{detail.count}-{id}-{source}{detail.deep}", happening) == "x-3-e-1-my.app{detail.deep}"
