"""What an auditor needs of an approval: whose keys counted when it was given, and whether a tag says what the record says.

The list of signers is kept by the digest of its content, so that each answer can name the one that was in force.
"""

import json
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import NamedTuple

from agent.errors import RefusedError
from agent.trust.control_tags import Said, check_execution, check_header
from agent.trust.people import Person


class Signers(NamedTuple):
    """Everyone whose key counted, with roles; and the contents of the list of revoked SSH keys and of the OpenPGP keyring."""

    people: tuple[Person, ...] = ()
    revoked: bytes = b""
    keyring: bytes = b""

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        return {person.name: person.roles for person in self.people}


class Question(NamedTuple):
    """The approval that a record speaks of."""

    execution: str
    commit: str
    pipeline: str
    number: int
    stage: str
    action: str


def digest(content: bytes) -> str:
    """sha256, hex."""
    return sha256(content).hexdigest()


def encode(signers: Signers) -> bytes:
    """As JSON, the same for the same signers."""
    body = {
        "people": [person._asdict() for person in sorted(signers.people)],
        "revoked": b64encode(signers.revoked).decode(),
        "keyring": b64encode(signers.keyring).decode(),
    }
    return json.dumps(body, indent=1, sort_keys=True).encode() + b"\n"


def decode(content: bytes) -> Signers:
    """From JSON. Raises ValueError."""
    try:
        body = json.loads(content)
        people = tuple(Person(one["name"], tuple(one["keys"]), tuple(one["roles"]), one["email"]) for one in body["people"])
        return Signers(people, b64decode(body["revoked"]), b64decode(body["keyring"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no list of signers: {error}") from error


def check_tag(said: Said, header: str, target_type: str, question: Question, *, approved: bool) -> None:
    """Raises RefusedError unless a tag answers this question in this way."""
    check_header(f"refs/tags/{said.name.text}", header, target_type)
    asked = (question.pipeline, question.number, question.stage)
    if (said.name.pipeline, said.name.number, said.name.stage) != asked:
        raise RefusedError(f"the tag is about {said.name.subject}")
    if said.name.verb != ("approve" if approved else "reject"):
        raise RefusedError(f"the tag says {said.name.verb}")
    if said.get("Action") not in {"", question.action}:
        raise RefusedError(f"the tag is about action {said.get('Action')}")
    check_execution(said, question.execution, question.commit, bound=False)
