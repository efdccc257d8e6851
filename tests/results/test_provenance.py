"""Provenance as in-toto's own packages read it, and no bit of it changed."""

import json
from base64 import b64decode, b64encode

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from agent.errors import RefusedError
from agent.results import provenance
from agent.results.sign import PrivateKey
from tests.support.stories import COMMIT
from tests.support.tales import CASES, DIST


@pytest.fixture(scope="module")
def key():
    return PrivateKey.generate()


@pytest.fixture
def line(key):
    [story] = CASES["success"]()
    return provenance.lines(story.record, key)


def public(key) -> SSlibKey:
    """The key as securesystemslib has it."""
    value = {"public": key.public.blob[-32:].hex()}
    return SSlibKey(key.public.fingerprint, "ed25519", "ed25519", value)


def test_in_toto_verifies_the_envelope(line, key):
    [one] = provenance.decode(line)
    envelope = Envelope.from_dict(json.loads(line)["envelope"])
    assert list(envelope.verify([public(key)], 1)) == [one.envelope.signatures[0].keyid]
    with pytest.raises(VerificationError):
        envelope.verify([public(PrivateKey.generate())], 1)


def test_in_toto_accepts_the_statement(line):
    told = json.loads(b64decode(json.loads(line)["envelope"]["payload"]))
    Statement.copy_from_pb(ParseDict(told, statement_pb2.Statement())).validate()
    assert told["_type"] == provenance.STATEMENT
    assert told["subject"] == [{"name": "dist", "digest": {"sha256": DIST.digest}}]
    parsed = ParseDict(told["predicate"], provenance_pb2.Provenance())  # raises for a field that SLSA does not know
    assert parsed.run_details.metadata.HasField("started_on")
    assert parsed.build_definition.resolved_dependencies[0].digest["gitCommit"] == COMMIT


def test_the_same_record_gives_the_same_bytes(line, key):
    assert provenance.lines(CASES["success"]()[0].record, key) == line


def test_every_byte_of_the_envelope_counts(line, key):
    [one] = provenance.decode(line)
    provenance.check(one, DIST, [key.public])
    raw = b64decode(one.envelope.payload)
    for place in range(len(raw)):
        payload = b64encode(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]).decode()
        changed = provenance.Envelope(payload=payload, payload_type=one.envelope.payload_type, signatures=one.envelope.signatures)
        with pytest.raises(RefusedError, match="does not hold"):
            provenance.check(_with(one, changed), DIST, [key.public])


def _with(one, envelope):
    return provenance.Provenance(id=one.id, stage=one.stage, action=one.action, artifact=one.artifact, envelope=envelope)


def test_of_another_artifact(line, key):
    [one] = provenance.decode(line)
    other = type(DIST)(name="dist", digest="cd" * 32, size=1, files=1)
    with pytest.raises(RefusedError, match="another artifact"):
        provenance.check(one, other, [key.public])


def test_garbled():
    with pytest.raises(RefusedError, match="cannot be read"):
        provenance.decode(b"{}\n")


def test_executions_of_one_commit_keep_theirs_apart(line):
    other = line.replace(b'"id":"', b'"id":"0')
    both = provenance.merge(provenance.merge(None, json.loads(other)["id"], other), json.loads(line)["id"], line)
    assert provenance.of(both, json.loads(line)["id"]) == line
    assert provenance.of(both, json.loads(other)["id"]) == other
    assert provenance.merge(line, json.loads(line)["id"], b"") is None


def test_nothing_without_artifacts(key):
    assert provenance.lines(CASES["matrix"]()[0].record, key) == b""
