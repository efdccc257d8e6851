"""What an SSH signature says of itself (PROTOCOL.sshsig): key and namespace. None of it is proven until `ssh-keygen` says so."""

from binascii import Error, a2b_base64, b2a_base64
from typing import NamedTuple

_MAGIC = b"SSHSIG"
_CERTIFICATE = b"-cert-v01@openssh.com"


class Signature(NamedTuple):
    """`key` is the public key or certificate as bytes; what is garbled is empty."""

    key: bytes
    namespace: str

    @property
    def blob(self) -> str:
        """The key as it stands in a line of allowed_signers."""
        return b2a_base64(self.key, newline=False).decode()

    @property
    def is_certificate(self) -> bool:
        return _CERTIFICATE in self.key[:64]

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints that of a key."""
        from hashlib import sha256  # loads OpenSSL: only for a refusal

        return "SHA256:" + b2a_base64(sha256(self.key).digest(), newline=False).decode().rstrip("=")

    def may_be_of(self, principal: str, authority: str) -> bool:
        """Whether this name and the key of this authority (base64) occur in the certificate at all."""
        try:
            signer = a2b_base64(authority)
        except Error:
            return False
        return self.is_certificate and _packed(principal.encode()) in self.key and _packed(signer) in self.key


def read(armored: bytes) -> Signature:
    """What stands in a signature as git keeps it."""
    try:
        raw = a2b_base64(b"".join(line for line in armored.split(b"\n") if not line.startswith(b"-----")))
    except Error:
        return Signature(b"", "")
    key, rest = _unpacked(raw[10:] if raw.startswith(_MAGIC) else b"")
    return Signature(key, _unpacked(rest)[0].decode(errors="replace"))


def _packed(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


def _unpacked(raw: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(raw[:4], "big")
    return raw[4 : 4 + size], raw[4 + size :]
