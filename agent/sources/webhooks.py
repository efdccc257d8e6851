"""What GitHub, GitLab and Bitbucket say of a push elsewhere: whether it is really them, and which refs have moved. Pure."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from agent.errors import RefusedError, UsageError

LARGEST = 25 * 1024**2  # bytes of a body; GitHub sends no more


class Change(NamedTuple):
    """A ref that has moved in another repository."""

    ref: str  # full
    commit: str
    sender: str = ""


class Delivery(NamedTuple):
    """A verified message: its id, which its repetitions share, and what it says; nothing if it is about something else."""

    id: str
    changes: tuple[Change, ...]


def read(forge: str, headers: Mapping[str, str], body: bytes, secret: bytes) -> Delivery:
    """A message of a forge. `headers` by lower-case names. Raises RefusedError if it is not signed with the secret."""
    if len(body) > LARGEST:
        raise RefusedError(f"the body has {len(body)} bytes, and none is larger than {LARGEST}")
    if not secret:
        raise RefusedError("the secret of the webhook is empty: anybody could sign with it")
    _verify(forge, headers, body, secret)
    try:
        said = json.loads(body)
        changes = tuple(_CHANGES[forge](headers, said))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"the body is not what {forge} sends: {type(error).__name__} {error}") from error
    return Delivery(_id(forge, headers, body), changes)


def _verify(forge: str, headers: Mapping[str, str], body: bytes, secret: bytes) -> None:
    if forge == "gitlab":
        given, wanted = headers.get("x-gitlab-token", "").encode(), secret
    else:
        name = "x-hub-signature-256" if forge == "github" else "x-hub-signature"
        given = headers.get(name, "").encode()
        wanted = b"sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest().encode()
    if not hmac.compare_digest(given, wanted):
        raise RefusedError(
            f"this is not signed as {forge} would with the secret of the remote",
            hint="does the web server pass headers and body on unchanged?"
            if given
            else "the header with the signature is missing",
        )


def _id(forge: str, headers: Mapping[str, str], body: bytes) -> str:
    names = {
        "github": ("x-github-delivery",),
        "gitlab": ("idempotency-key", "x-gitlab-event-uuid"),
        "bitbucket": ("x-request-uuid",),
    }
    named = next((headers[name] for name in names[forge] if headers.get(name)), "")
    return named[:200] or hashlib.sha256(body).hexdigest()


def _github(headers: Mapping[str, str], said: dict[str, Any]) -> Iterator[Change]:
    if headers.get("x-github-event") == "push" and not said.get("deleted"):
        sender = said.get("sender") or said.get("pusher") or {}
        yield Change(str(said["ref"]), str(said["after"]), str(sender.get("login") or sender.get("name") or ""))


def _gitlab(_: Mapping[str, str], said: dict[str, Any]) -> Iterator[Change]:
    if said.get("object_kind") in {"push", "tag_push"} and said["after"].strip("0"):
        yield Change(str(said["ref"]), str(said["after"]), str(said.get("user_username") or ""))


def _bitbucket(headers: Mapping[str, str], said: dict[str, Any]) -> Iterator[Change]:
    if headers.get("x-event-key") != "repo:push":
        return
    actor = said.get("actor") or {}
    for change in said["push"]["changes"]:
        if new := change.get("new"):
            place = "refs/tags/" if new["type"] in {"tag", "annotated_tag"} else "refs/heads/"
            sender = str(actor.get("nickname") or actor.get("display_name") or "")
            yield Change(place + str(new["name"]), str(new["target"]["hash"]), sender)


_CHANGES = {"github": _github, "gitlab": _gitlab, "bitbucket": _bitbucket}
