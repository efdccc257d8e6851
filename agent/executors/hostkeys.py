"""Which host keys are right: the rules of OpenSSH's known_hosts files. Pure; signatures are checked by who is given in.

Wildcards and negation, hashed names, `[host]:port`, several keys of one type, `@revoked`, and `@cert-authority` with the
certificates of hosts. A host that no line names is unknown, and nothing is ever added by itself.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

CERTIFICATE = "-cert-v01@openssh.com"
HOST = 2  # the type of a host's certificate
FOREVER = 2**64 - 1
_NUMBERS = {"ssh-rsa": 2, "ecdsa-sha2-nistp256": 2, "ecdsa-sha2-nistp384": 2, "ecdsa-sha2-nistp521": 2, "ssh-ed25519": 1}
_RSA = ("rsa-sha2-512", "rsa-sha2-256")

Verify = Callable[[bytes, bytes, bytes], bool]  # key, data, signature


class Line(NamedTuple):
    """One line of a known_hosts file."""

    marker: str
    hosts: str
    key: bytes


class Known(NamedTuple):
    """What the lines say of one host."""

    keys: frozenset[bytes]
    authorities: frozenset[bytes]
    revoked: frozenset[bytes]

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The host key algorithms to ask for, so that the host shows a key that can be judged; empty: any will do."""
        plain = [algorithm for key in sorted(self.keys) for algorithm in _algorithms(kind(key))]
        signed = [each + CERTIFICATE for name in _NUMBERS for each in _algorithms(name)] if self.authorities else []
        return tuple(dict.fromkeys([*signed, *plain]))


class Certificate(NamedTuple):
    """What a certificate says; `signed` is what `signature` stands under, by the key `authority`."""

    key: bytes  # of the host, as a plain public key
    type: int
    principals: tuple[str, ...]
    after: int  # seconds since 1970
    before: int
    critical: bytes
    authority: bytes
    signed: bytes
    signature: bytes


class KnownHosts:
    """The lines of any number of known_hosts files. Lines that make no sense are passed over, as ssh does."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._lines = tuple(line for text in texts for line in _parse(text))

    def of(self, host: str, port: int) -> Known:
        """What is known of a host at a port. A line without a port speaks of port 22, and of others of which no line does."""
        found = self._of(spelled(host, port))
        if port == 22 or found.keys or found.authorities:
            return found
        plain = self._of(spelled(host, 22))
        return plain._replace(revoked=plain.revoked | found.revoked)

    def _of(self, name: str) -> Known:
        found: dict[str, set[bytes]] = {"": set(), "@cert-authority": set(), "@revoked": set()}
        for line in self._lines:
            if line.marker in found and _names(line.hosts, name):
                found[line.marker].add(line.key)
        return Known(*(frozenset(keys) for keys in found.values()))


def spelled(host: str, port: int) -> str:
    """How a host is written in a known_hosts file."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def complaint(known: Known, host: str, shown: bytes, now: float, verify: Verify) -> str:
    """Why the key or certificate that a host has shown is not to be trusted; empty if it is.

    `now`: seconds since 1970.
    """
    try:
        certificate = parse_certificate(shown) if kind(shown).endswith(CERTIFICATE) else None
    except (ValueError, IndexError):
        return "it shows a certificate that cannot be read"
    key = certificate.key if certificate else shown
    if key in known.revoked:
        return "its key is revoked"
    if certificate:
        return _complaint_of(certificate, known, host.lower(), now, verify)
    if key in known.keys:
        return ""
    if any(kind(each) == kind(key) for each in known.keys):
        return f"its {kind(key)} key is not the known one: the host was set up anew, or somebody stands in between"
    return f"its {kind(key)} key is not known"


def _complaint_of(certificate: Certificate, known: Known, host: str, now: float, verify: Verify) -> str:
    problems = {
        "its certificate is signed by a revoked authority": certificate.authority in known.revoked,
        "its certificate is not signed by a known authority": certificate.authority not in known.authorities,
        "its certificate is that of a user": certificate.type != HOST,
        "its certificate has conditions that nobody knows": bool(certificate.critical),
        f"its certificate is not for {host}": not any(_fits(name.lower(), host) for name in certificate.principals),
        "its certificate is not valid yet": now < certificate.after,
        "its certificate is over": now >= certificate.before and certificate.before != FOREVER,
    }
    for problem, holds in problems.items():
        if holds:
            return problem
    if not verify(certificate.authority, certificate.signed, certificate.signature):
        return "the signature of its certificate is wrong"
    return ""


def parse_certificate(blob: bytes) -> Certificate:
    """Read a certificate (PROTOCOL.certkeys). Raises ValueError or IndexError if it is none."""
    name, rest = _string(blob)
    plain = name.decode().removesuffix(CERTIFICATE)
    _nonce, rest = _string(rest)
    numbers = []
    for _ in range(_NUMBERS[plain]) if plain in _NUMBERS else ():
        number, rest = _string(rest)
        numbers.append(number)
    if not numbers:
        raise ValueError(f"{plain} is no kind of key that we know")
    head, rest = rest[:12], rest[12:]
    _name, rest = _string(rest)
    principals, rest = _string(rest)
    times, rest = rest[:16], rest[16:]
    critical, rest = _string(rest)
    _extensions, rest = _string(rest)
    _reserved, rest = _string(rest)
    authority, rest = _string(rest)
    signature, left = _string(rest)
    if left:
        raise ValueError("there is something behind the signature")
    return Certificate(
        key=b"".join(_packed(part) for part in (plain.encode(), *numbers)),
        type=int.from_bytes(head[8:], "big"),
        principals=tuple(part.decode() for part in _strings(principals)),
        after=int.from_bytes(times[:8], "big"),
        before=int.from_bytes(times[8:], "big"),
        critical=critical,
        authority=authority,
        signed=blob[: len(blob) - len(rest)],
        signature=signature,
    )


def kind(blob: bytes) -> str:
    """The type that a public key says it is of; empty if it is no key."""
    try:
        return _string(blob)[0].decode()
    except (ValueError, UnicodeDecodeError):
        return ""


def line_of(host: str, port: int, blob: bytes) -> str:
    """The line for a known_hosts file."""
    return f"{spelled(host, port)} {kind(blob)} {base64.b64encode(blob).decode()}"


def fingerprint(blob: bytes) -> str:
    """As ssh shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def inline(line: str) -> str:
    """A line of the configuration: one that starts with the key speaks of every host of the group."""
    return f"* {line}" if line.split(" ", maxsplit=1)[0].startswith(("ssh-", "ecdsa-")) else line


def _parse(text: str) -> Iterator[Line]:
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            key = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        if kind(key) == words[1]:
            yield Line(marker, words[0], key)


def _names(hosts: str, name: str) -> bool:
    if hosts.startswith("|1|"):
        return _is_hash_of(hosts, name)
    found = False
    for pattern in hosts.lower().split(","):
        if pattern.startswith("!") and _fits(pattern[1:], name):
            return False
        found = found or _fits(pattern, name)
    return found


def _is_hash_of(hashed: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in hashed[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)


def _fits(pattern: str, name: str) -> bool:
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(char, re.escape(char)) for char in pattern), name) is not None


def _algorithms(name: str) -> tuple[str, ...]:
    return _RSA if name == "ssh-rsa" else (name,)


def _string(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise ValueError("a key is cut off")
    return data[4 : 4 + size], data[4 + size :]


def _strings(data: bytes) -> Iterator[bytes]:
    while data:
        text, data = _string(data)
        yield text


def _packed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
