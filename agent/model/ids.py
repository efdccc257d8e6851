"""Names and identities. Plain strings with a type each; the hooks import this, so nothing heavy."""

import re
from functools import lru_cache
from typing import NewType

Oid = NewType("Oid", str)  # 40 or 64 lower-case hex digits
RefName = NewType("RefName", str)  # full: refs/heads/main
PipelineName = NewType("PipelineName", str)  # the stem of the file under .pipeline/
StageName = NewType("StageName", str)
ActionName = NewType("ActionName", str)  # unique in its stage; a matrix action carries its values: "unit (3.11)"
ArtifactName = NewType("ArtifactName", str)
ExecutionId = NewType("ExecutionId", str)  # 26 characters, sorts by time of creation

NAME = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
)  # pipelines, stages, actions (codepipeline.md 6, without a leading dot or dash)
ZERO = "0"
NOTES = ("refs/notes/pipeline", "refs/notes/pipeline-record", "refs/notes/pipeline-log")
SIGNERS = "refs/notes/pipeline-signers"  # lists of people's keys and roles, by the first digits of their sha256
PROVENANCE = "refs/notes/pipeline-provenance"  # an in-toto statement of each artifact, signed, one a line

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def is_zero(oid: str) -> bool:
    """True for the id that git writes for "does not exist"."""
    return not oid.strip(ZERO)


def execution_id(milliseconds: int, entropy: bytes) -> ExecutionId:
    """An id from the time (ms since 1970) and ten random bytes; ids sort by time, as a ULID does."""
    value = (milliseconds << 80) | int.from_bytes(entropy[:10], "big")
    return ExecutionId("".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5)))


def attempt_id(execution: ExecutionId, stage: str, action: str, attempt: int) -> str:
    """The name of one attempt wherever it leaves a trace: containers, directories, log files. Safe in each of them."""
    return f"{execution}-{_place(stage, action)}-{attempt}"


@lru_cache(maxsize=4096)
def _place(stage: str, action: str) -> str:
    from hashlib import sha256  # loads OpenSSL: no push should wait for it

    return sha256(f"{stage}\0{action}".encode()).hexdigest()[:12]
