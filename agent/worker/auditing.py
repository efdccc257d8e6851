"""What the record needs of the worker: where the chain stands, the digest of the configuration, and whose keys count."""

from pathlib import Path

import msgspec

from agent.errors import EnvironmentFault
from agent.git.notes import Notes
from agent.results.chain import Chain, Head
from agent.results.publish import RECORD
from agent.results.sign import PrivateKey
from agent.state.marks import Marks
from agent.trust import evidence
from agent.trust.evidence import Signers
from agent.trust.people import Policy

MOST = 1024**2  # bytes of a keyring, or of a list of revoked keys, that the record keeps
_MARK = "chain of the record"


def chain(key: PrivateKey, marks: Marks, notes: Notes) -> Chain:
    """The chain of a repository, its head kept in the state."""

    def kept() -> Head | None:
        body = marks.get(_MARK)
        return msgspec.json.decode(body, type=Head) if body else None

    def keep(head: Head) -> None:
        marks.put(_MARK, msgspec.json.encode(head).decode())

    return Chain(key, kept, keep, lambda: notes.history(RECORD))


def signers(policy: Policy) -> bytes:
    """The list of signers, with the contents of the files that the configuration names. Raises EnvironmentFault."""
    found = Signers(policy.people, _content(policy.revoked_keys), _content(policy.openpgp_keyring))
    return evidence.encode(found)


def _content(path: str) -> bytes:
    if not path:
        return b""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be read: {error.strerror}", hint="the configuration names it") from error
    if len(content) > MOST:
        hint = "export only the keys of [people]"
        raise EnvironmentFault(f"{path} has {len(content)} bytes; the record keeps at most {MOST}", hint=hint)
    return content
