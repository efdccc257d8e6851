"""Webhooks of the three forges, as they send them: who is believed, and what they say."""

import hashlib
import hmac
import json
from contextlib import suppress

import pytest

from agent.errors import RefusedError, UsageError
from agent.sources.webhooks import Change, read

SECRET = b"between us"
COMMIT = "3f9c2ab07d51e86b4c0f9a1d2e3b4c5d6e7f8091"
ZERO = "0" * 40
GITHUB = {"ref": "refs/heads/main", "after": COMMIT, "deleted": False, "sender": {"login": "octocat"}}
GITLAB = {"object_kind": "push", "ref": "refs/heads/main", "after": COMMIT, "user_username": "tanuki"}
BITBUCKET = {
    "actor": {"nickname": "bucky"},
    "push": {
        "changes": [
            {"new": {"type": "branch", "name": "main", "target": {"hash": COMMIT}}},
            {"new": {"type": "tag", "name": "v1", "target": {"hash": COMMIT}}},
            {"new": None, "old": {"type": "branch", "name": "gone"}},
        ]
    },
}


def signed(forge, body, secret=SECRET, **more):
    digest = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {
        "github": {"x-hub-signature-256": digest, "x-github-event": "push", "x-github-delivery": "d-1"},
        "gitlab": {"x-gitlab-token": secret.decode(), "x-gitlab-event": "Push Hook", "x-gitlab-event-uuid": "d-1"},
        "bitbucket": {"x-hub-signature": digest, "x-event-key": "repo:push", "x-request-uuid": "d-1"},
    }[forge] | more


def sent(forge, said, **more):
    body = json.dumps(said).encode()
    return read(forge, signed(forge, body, **more), body, SECRET)


@pytest.mark.parametrize(
    ("forge", "said", "changes"),
    [
        ("github", GITHUB, [Change("refs/heads/main", COMMIT, "octocat")]),
        ("github", GITHUB | {"deleted": True, "after": ZERO}, []),
        ("gitlab", GITLAB, [Change("refs/heads/main", COMMIT, "tanuki")]),
        ("gitlab", GITLAB | {"object_kind": "tag_push", "ref": "refs/tags/v1"}, [Change("refs/tags/v1", COMMIT, "tanuki")]),
        ("gitlab", GITLAB | {"after": ZERO}, []),
        ("gitlab", {"object_kind": "note"}, []),
        ("bitbucket", BITBUCKET, [Change("refs/heads/main", COMMIT, "bucky"), Change("refs/tags/v1", COMMIT, "bucky")]),
    ],
)
def test_what_they_say(forge, said, changes):
    found = sent(forge, said)
    assert list(found.changes) == changes
    assert found.id == "d-1"


def test_other_events_are_nothing_to_do():
    body = b'{"zen": "Keep it logically awesome."}'
    assert read("github", signed("github", body) | {"x-github-event": "ping"}, body, SECRET).changes == ()
    assert read("bitbucket", signed("bitbucket", body) | {"x-event-key": "repo:fork"}, body, SECRET).changes == ()


@pytest.mark.parametrize("forge", ["github", "gitlab", "bitbucket"])
def test_a_forgery_is_refused(forge):
    body = json.dumps(GITHUB).encode()
    for headers in (signed(forge, body, b"guessed"), {}, signed(forge, body) | {"x-hub-signature-256": "sha256="}):
        if headers.get("x-hub-signature-256") == "sha256=" and forge != "github":
            continue
        with pytest.raises(RefusedError, match="not signed"):
            read(forge, headers, body, SECRET)


@pytest.mark.parametrize("forge", ["github", "bitbucket"])
def test_a_changed_body_is_refused(forge):
    body = json.dumps(GITHUB).encode()
    with pytest.raises(RefusedError):
        read(forge, signed(forge, body), body.replace(b"main", b"evil"), SECRET)


@pytest.mark.parametrize("forge", ["github", "gitlab", "bitbucket"])
def test_an_empty_secret_signs_nothing(forge):
    body = b"{}"
    with pytest.raises(RefusedError, match="empty"):
        read(forge, signed(forge, body, b""), body, b"")


@pytest.mark.parametrize("said", [b"no json", b"[]", b"{}", b'{"push": 1, "ref": 1}', b"[" * 100_000])
@pytest.mark.parametrize("forge", ["github", "gitlab", "bitbucket"])
def test_a_body_that_is_none_is_told(forge, said):
    with suppress(UsageError):
        assert read(forge, signed(forge, said), said, SECRET).changes == ()


def test_without_an_id_the_body_is_one():
    body = json.dumps(GITHUB).encode()
    headers = signed("github", body)
    del headers["x-github-delivery"]
    assert read("github", headers, body, SECRET).id == hashlib.sha256(body).hexdigest()
