"""Signatures by the agent's own key: SSHSIG, as `ssh-keygen -Y` and git make and check them, and raw ones for DSSE envelopes.

Made in this process: `ssh-keygen` would cost every publication four children. Only ed25519: one key has exactly one signature for
one text, so that not a bit of it can be changed unseen.
"""

import base64
import hashlib
import re
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_ssh_private_key

from agent.errors import EnvironmentFault, RefusedError, UsageError

GIT, RECORD = "git", "git-pipeline-record"  # namespaces
_TYPE, _HASH, _MAGIC = b"ssh-ed25519", b"sha512", b"SSHSIG"
_LINE = re.compile(r"(?:^|\s)(ssh-ed25519 [A-Za-z0-9+/]{68})(?:\s|$)")
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"


class PublicKey(NamedTuple):
    """Whose signatures are checked; `line` is the key as ssh-keygen writes it, without a comment."""

    line: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text of a .pub file or of an allowed_signers line. Raises UsageError."""
        found = _LINE.search(text)
        if not found or not base64.b64decode(found[1].split()[1]).startswith(_packed(_TYPE) + b"\0\0\0\x20"):
            raise UsageError(f"'{text.strip()[:60]}' is no ed25519 key", hint="it looks like: ssh-ed25519 AAAA…")
        return cls(found[1])

    @property
    def blob(self) -> bytes:
        """The key as it is sent over the wire."""
        return base64.b64decode(self.line.split()[1])

    @property
    def fingerprint(self) -> str:
        """SHA256:…, as ssh-keygen -l shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def verify(self, payload: bytes, signature: bytes) -> bool:
        """Whether a raw signature holds."""
        try:
            Ed25519PublicKey.from_public_bytes(self.blob[-32:]).verify(signature, payload)
        except (InvalidSignature, ValueError):
            return False
        return True

    def check(self, payload: bytes, signature: str, namespace: str) -> None:
        """Raises RefusedError unless an SSHSIG (base64 without armour) by this key holds for the payload."""
        blob = _decoded(signature)
        raw = blob[-64:]
        if blob != _sshsig(self, namespace, raw) or base64.b64encode(blob).decode() != signature:
            signer = signer_of(signature)
            other = f"it was signed by {signer.fingerprint}" if signer else "the signature is malformed"
            raise RefusedError(other if signer != self else "the signature is malformed, or not for this purpose")
        if not self.verify(_signed(namespace, payload), raw):
            raise RefusedError("it was changed after it was signed")


class PrivateKey:
    """The agent's own key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        self.public = PublicKey.parse(raw.decode())

    @classmethod
    def generate(cls) -> Self:
        """A fresh one."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, pem: bytes) -> Self:
        """From the text of a file as ssh-keygen writes it, without a pass phrase. Raises EnvironmentFault."""
        try:
            key = load_ssh_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise EnvironmentFault(f"the agent's key cannot be used: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise EnvironmentFault("the agent's key is no ed25519 key", hint="ssh-keygen -t ed25519 -N '' makes one")
        return cls(key)

    @property
    def pem(self) -> bytes:
        """As ssh-keygen writes it, without a pass phrase."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())

    def sign(self, payload: bytes) -> bytes:
        """A raw signature."""
        return self._key.sign(payload)

    def seal(self, payload: bytes, namespace: str) -> str:
        """An SSHSIG in base64, without armour."""
        raw = self.sign(_signed(namespace, payload))
        return base64.b64encode(_sshsig(self.public, namespace, raw)).decode()

    def sign_commit(self, payload: bytes) -> bytes:
        """The `gpgsig` of a commit."""
        return armoured(self.seal(payload, GIT))


def signer_of(signature: str) -> PublicKey | None:
    """The key that an SSHSIG (base64 without armour) claims to be by."""
    size = len(_packed(_TYPE)) + 36
    blob = _decoded(signature)[len(_MAGIC) + 8 :][:size]
    try:
        return PublicKey.parse(f"ssh-ed25519 {base64.b64encode(blob).decode()}")
    except UsageError:
        return None


def armoured(signature: str) -> bytes:
    """With the lines around it that OpenSSH wants."""
    lines = [signature[at : at + 70].encode() for at in range(0, len(signature), 70)]
    return b"\n".join([_BEGIN, *lines, _END])


def bare(armour: bytes) -> str:
    """A signature without those lines; empty if they are not exactly as we write them."""
    found = b"".join(armour.split(b"\n")[1:-1]).decode(errors="replace")
    return found if armoured(found) == armour else ""


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError:
        return b""


def _packed(*strings: bytes) -> bytes:
    return b"".join(len(string).to_bytes(4, "big") + string for string in strings)


def _sshsig(key: PublicKey, namespace: str, raw: bytes) -> bytes:
    """PROTOCOL.sshsig of OpenSSH: the one form of it that we write and accept."""
    version = (1).to_bytes(4, "big")
    return _MAGIC + version + _packed(key.blob, namespace.encode(), b"", _HASH, _packed(_TYPE, raw))


def _signed(namespace: str, payload: bytes) -> bytes:
    return _MAGIC + _packed(namespace.encode(), b"", _HASH, hashlib.sha512(payload).digest())
