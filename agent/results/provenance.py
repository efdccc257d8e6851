"""Provenance of artifacts: an in-toto Statement with SLSA's predicate, in a DSSE envelope signed with the agent's key.

One line of `refs/notes/pipeline-provenance` for each artifact of an execution that has ended.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator

import msgspec

from agent.errors import RefusedError
from agent.model.outcome import ArtifactRecord
from agent.model.value import Value
from agent.results.record import ActionRecord, Record, StageRecord, line_id
from agent.results.sign import PrivateKey, PublicKey

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:git-pipeline:build:v1"
PAYLOAD = "application/vnd.in-toto+json"


class Signature(Value, frozen=True, kw_only=True, omit_defaults=False):
    """`sig` is raw and in base64, `keyid` the fingerprint as ssh-keygen shows it."""

    keyid: str
    sig: str


class Envelope(Value, frozen=True, kw_only=True, omit_defaults=False, rename="camel"):
    """DSSE."""

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...]


class Provenance(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One line of the note: whose artifact, and the envelope."""

    id: str
    stage: str
    action: str
    artifact: str
    envelope: Envelope


def lines(record: Record, key: PrivateKey) -> bytes:
    """The lines of all artifacts of an execution; the same record gives the same bytes."""
    return b"".join(
        msgspec.json.encode(_line(record, stage, action, artifact, key)) + b"\n" for stage, action, artifact in artifacts(record)
    )


def artifacts(record: Record) -> Iterator[tuple[StageRecord, ActionRecord, ArtifactRecord]]:
    """What the actions of an execution have left."""
    for stage in record.stages:
        for action in stage.actions:
            for artifact in action.artifacts:
                yield stage, action, artifact


def _line(record: Record, stage: StageRecord, action: ActionRecord, artifact: ArtifactRecord, key: PrivateKey) -> Provenance:
    payload = msgspec.json.encode(_statement(record, stage, action, artifact, key.public))
    signature = Signature(keyid=key.public.fingerprint, sig=b64encode(key.sign(pae(PAYLOAD, payload))).decode())
    envelope = Envelope(payload=b64encode(payload).decode(), payload_type=PAYLOAD, signatures=(signature,))
    return Provenance(id=record.id, stage=stage.name, action=action.name, artifact=artifact.name, envelope=envelope)


def _statement(
    record: Record, stage: StageRecord, action: ActionRecord, artifact: ArtifactRecord, key: PublicKey
) -> dict[str, object]:
    return {
        "_type": STATEMENT,
        "subject": [{"name": artifact.name, "digest": {"sha256": artifact.digest}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {
                    "pipeline": record.pipeline, "ref": record.ref, "commit": record.commit, "stage": stage.name,
                    "action": action.name, "variables": record.variables, "trigger": record.trigger.value,
                },
                "internalParameters": {"actor": record.actor, "policy": record.policy, "secrets": list(action.secrets)},
                "resolvedDependencies": list(_dependencies(record, action)),
            },
            "runDetails": {
                "builder": {"id": f"urn:git-pipeline:agent:{key.fingerprint}"},
                "metadata": {
                    "invocationId": f"{record.id}/{stage.name}/{action.name}/{action.attempt}",
                    **{
                        name: time.isoformat().replace("+00:00", "Z")
                        for name, time in (("startedOn", action.started_at), ("finishedOn", action.ended_at))
                        if time
                    },
                },
            },
        },
    }  # fmt: skip


def _dependencies(record: Record, action: ActionRecord) -> Iterator[dict[str, object]]:
    yield {"uri": f"git+urn:commit:{record.commit}", "digest": {"gitCommit": record.commit}}
    if record.definition:
        yield {"name": ".pipeline", "digest": {"gitTree": record.definition}}
    if action.image:
        name, _, digest = action.image.rpartition("sha256:")
        yield (
            {"uri": f"docker:{action.image}", "digest": {"sha256": digest}}
            if name or digest != action.image
            else {"uri": f"docker:{action.image}"}
        )


def pae(payload_type: str, payload: bytes) -> bytes:
    """What DSSE signs."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def merge(old: bytes | None, execution: str, new: bytes) -> bytes | None:
    """The note with these lines for an execution in the place of its former ones; None if nothing is left."""
    kept = [line for line in (old or b"").split(b"\n") if line and line_id(line) != execution]
    return b"".join(line + b"\n" for line in sorted([*kept, *filter(None, new.split(b"\n"))], key=line_id)) or None


def of(note: bytes, execution: str) -> bytes:
    """The lines of one execution."""
    return b"".join(line + b"\n" for line in note.split(b"\n") if line and line_id(line) == execution)


def decode(lines: bytes) -> tuple[Provenance, ...]:
    """The lines as values. Raises RefusedError if one cannot be read."""
    try:
        return tuple(msgspec.json.decode(line, type=Provenance) for line in lines.split(b"\n") if line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(f"it cannot be read: {error}") from error


def check(one: Provenance, artifact: ArtifactRecord, keys: Iterable[PublicKey]) -> None:
    """Raises RefusedError unless an envelope is signed by one of the keys and is about this artifact."""
    try:
        payload = b64decode(one.envelope.payload, validate=True)
        signed = [(each.keyid, b64decode(each.sig, validate=True)) for each in one.envelope.signatures]
    except ValueError as error:
        raise RefusedError("its envelope is garbled") from error
    known = {key.fingerprint: key for key in keys}
    text = pae(one.envelope.payload_type, payload)
    if not any(keyid in known and known[keyid].verify(text, signature) for keyid, signature in signed):
        raise RefusedError("the signature of its provenance does not hold")
    statement = msgspec.json.decode(payload)
    if statement["subject"] != [{"name": artifact.name, "digest": {"sha256": artifact.digest}}]:
        raise RefusedError("its provenance is about another artifact")
