"""Who signed something: SSH signatures by `ssh-keygen -Y`, OpenPGP ones by `gpgv`. pre-receive imports this.

Judged by the time at which it is asked, never by a date that the signer wrote; so a key that has expired signs nothing any more,
whatever date it is given. What the tools must read lies in memory (memfd), so nothing is left behind by a kill.
"""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import NamedTuple

from agent.errors import EnvironmentFault, RefusedError
from agent.git.command import communicate, find_program
from agent.git.tags import OPENPGP, SSH
from agent.trust.people import Person, SshKey, fingerprint, ssh_key

NAMESPACE = "git"
_ENDS = {SSH: b"-----END SSH SIGNATURE-----", OPENPGP: b"-----END PGP "}
_GOOD = re.compile(rb'Good "git" signature for (?P<principal>\S+) with (?P<type>\S+) key (?P<print>SHA256:\S+)')
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")  # of an allowed_signers file, which reads *, ?, ! and commas as patterns
_SAY_KEY = "the operator adds it to `keys` under [people.NAME] in pipeline/config.toml on the server"
_TROUBLE = {
    "BADSIG": "the content was changed after it was signed",
    "EXPKEYSIG": "the key has expired",
    "REVKEYSIG": "the key was revoked",
    "EXPSIG": "the signature has expired",
}


class Signer(NamedTuple):
    """A person of the configuration, and the key: `SHA256:…` of an SSH key, or the primary OpenPGP fingerprint."""

    person: str
    fingerprint: str
    kind: str


class Keys(NamedTuple):
    """Whom to believe: people with their keys, and the paths of a list of revoked SSH keys and of an OpenPGP keyring.

    `at` (seconds since 1970): keys count that were valid then, when the signature was received; 0: those that are valid now.
    """

    people: Sequence[Person]
    revoked: str = ""
    keyring: str = ""
    at: int = 0


def verify(payload: bytes, signature: bytes, kind: str, keys: Keys, environment: Mapping[str, str]) -> Signer:
    """Who signed `payload`. Raises RefusedError, in words for the signer, or EnvironmentFault if a tool or a file is missing."""
    if not signature:
        raise RefusedError("it is not signed", hint="sign it: git tag -s; git config gpg.format ssh to do it with an SSH key")
    if kind not in _ENDS:
        raise RefusedError("X.509 signatures are not known here", hint="sign it with an SSH or an OpenPGP key")
    if _ENDS[kind] not in signature or signature.rstrip().count(b"\n") != signature[: _last(signature, kind)].count(b"\n"):
        raise RefusedError("the signature is malformed", hint="make it with git tag -s")
    return (_verify_ssh if kind == SSH else _verify_openpgp)(payload, signature, keys, environment)


def _last(signature: bytes, kind: str) -> int:
    return signature.rindex(_ENDS[kind])


# --- SSH ------------------------------------------------------------------------------------------------------------------


def _verify_ssh(payload: bytes, signature: bytes, keys: Keys, environment: Mapping[str, str]) -> Signer:
    if keys.revoked and not os.access(keys.revoked, os.R_OK):
        raise EnvironmentFault(f"the list of revoked keys cannot be read: {keys.revoked}", hint="mend `revoked_keys`")
    tool = find_program("ssh-keygen", environment, "install OpenSSH's client on the server")
    owners = principals(keys.people)
    moment = ("-O", f"verify-time={time.strftime('%Y%m%d%H%M%S', time.localtime(keys.at))}") if keys.at else ()
    with ExitStack() as files:
        allowed = files.enter_context(_Memory(allowed_signers(keys.people, owners).encode())).path
        signed = files.enter_context(_Memory(signature)).path
        arguments = (*moment, "-f", allowed, "-s", signed)
        revocation = ("-r", keys.revoked) if keys.revoked else ()

        def verify(principal: str) -> tuple[Signer | None, bytes]:
            how = [tool, "-Y", "verify", "-n", NAMESPACE, "-I", principal, *arguments, *revocation]
            code, out, err = communicate(how, environment, payload)
            good = _GOOD.search(out)
            if code or good is None or good["principal"].decode() != principal:
                return None, err
            return Signer(owners[principal], good["print"].decode(), SSH), b""

        owner, key = _owner(_inside(signature)[0], keys.people)
        if owner in owners and key and not key.is_authority and (known := verify(owner)[0]):
            return known  # spares the question below, which only certificates need, and people who are told why not
        code, out, err = communicate([tool, "-Y", "find-principals", *arguments], environment)
        found = re.split("[\n,]", out.decode(errors="replace"))[0].strip()
        if code or found not in owners:
            raise _unknown(signature, keys.people, err)
        signer, err = verify(found)
    if signer is None:
        raise _bad(signature, owners[found], err, bool(keys.revoked))
    return signer


def principals(people: Iterable[Person]) -> dict[str, str]:
    """Under which names people stand in allowed_signers: their own, and for certificates an address that is theirs alone."""
    known = tuple(people)
    addresses = [person.email for person in known]
    own = {person.email: person.name for person in known if _PRINCIPAL.fullmatch(person.email)}
    alone = {email: name for email, name in own.items() if addresses.count(email) == 1}
    return {**alone, **{person.name: person.name for person in known if _PRINCIPAL.fullmatch(person.name)}}


def allowed_signers(people: Iterable[Person], owners: Mapping[str, str]) -> str:
    """The text of an allowed_signers file. An authority's certificates count for whom they name, by name or address."""
    lines = []
    for person in people:
        names = [principal for principal, owner in owners.items() if owner == person.name]
        for key in filter(None, map(ssh_key, person.keys)):
            shown = names if key.is_authority else [name for name in names if name == person.name]
            if shown:
                lines.append(" ".join(filter(None, (",".join(shown), key.options, key.type, key.blob))))
    return "".join(f"{line}\n" for line in lines)


def _unknown(signature: bytes, people: Iterable[Person], said: bytes) -> RefusedError:
    """Nobody has the key now; tell one that is not valid from one that never was."""
    blob, _ = _inside(signature)
    owner, _ = _owner(blob, people)
    whose = f"{owner}'s key" if owner else "the certificate or its authority"
    if b"expired" in said and (owner or _is_certificate(blob)):
        return RefusedError(f"{whose} has expired", hint=f"use another one; {_SAY_KEY}")
    if b"not yet valid" in said and (owner or _is_certificate(blob)):
        return RefusedError(f"{whose} is not yet valid", hint="wait, or use another one")
    if _is_certificate(blob):
        return RefusedError(
            "its certificate counts for nobody here",
            hint="it must be valid, from an authority in `keys` of [people.NAME], and its principal that person's name or e-mail",
        )
    return RefusedError(f"its key {_print(blob)} belongs to nobody here", hint=_SAY_KEY)


def _bad(signature: bytes, person: str, said: bytes, has_list: bool) -> RefusedError:
    _, namespace = _inside(signature)
    if namespace != NAMESPACE or b"namespace" in said:
        return RefusedError(f"the signature is for {namespace or 'nothing'}, not for git", hint="make it with git tag -s")
    if b"incorrect signature" in said:
        return RefusedError("the tag was changed after it was signed", hint="sign it again")
    if b"revoked" in said or has_list:
        return RefusedError(f"{person}'s key was revoked", hint=f"use another one; {_SAY_KEY}")
    return RefusedError("the signature does not hold", hint="sign it again: git tag -f -s …")


def _owner(blob: str, people: Iterable[Person]) -> tuple[str, SshKey | None]:
    for person in people:
        for key in filter(None, map(ssh_key, person.keys)):
            if key.blob.rstrip("=") == blob.rstrip("=") and blob:
                return person.name, key
    return "", None


def _inside(signature: bytes) -> tuple[str, str]:
    """The public key (base64) and the namespace of an SSH signature; empty if it is garbled (PROTOCOL.sshsig)."""
    from binascii import Error, a2b_base64, b2a_base64

    try:
        raw = a2b_base64(b"".join(line for line in signature.split(b"\n") if not line.startswith(b"-----")))
    except Error:
        return "", ""
    rest = raw[10:] if raw.startswith(b"SSHSIG") else b""
    key, rest = _string(rest)
    namespace, _ = _string(rest)
    return b2a_base64(key, newline=False).decode(), namespace.decode(errors="replace")


def _string(raw: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(raw[:4], "big")
    return raw[4 : 4 + size], raw[4 + size :]


def _is_certificate(blob: str) -> bool:
    from binascii import a2b_base64

    return b"-cert-v01@openssh.com" in a2b_base64(blob)[:64]


def _print(blob: str) -> str:
    from binascii import a2b_base64, b2a_base64
    from hashlib import sha256  # loads OpenSSL: only for a refusal

    return "SHA256:" + b2a_base64(sha256(a2b_base64(blob)).digest(), newline=False).decode().rstrip("=")


# --- OpenPGP --------------------------------------------------------------------------------------------------------------


def _verify_openpgp(payload: bytes, signature: bytes, keys: Keys, environment: Mapping[str, str]) -> Signer:
    owners = {fingerprint(key): person.name for person in keys.people for key in person.keys if fingerprint(key)}
    if not owners:
        hint = 'sign with an SSH key; or the operator adds "openpgp:FINGERPRINT" to somebody\'s `keys`, and an `openpgp_keyring`'
        raise RefusedError("nobody here has an OpenPGP key", hint=hint)
    if not os.access(keys.keyring, os.R_OK) or _is_armored(keys.keyring):
        raise EnvironmentFault(
            f"the OpenPGP keyring cannot be read: {keys.keyring or 'none is set'}",
            hint="on the server: gpg --export (without --armor) FINGERPRINT > keyring.gpg, and `openpgp_keyring` names that file",
        )
    tool = find_program("gpgv", environment, "install gpgv on the server")
    with closing(_Memory(signature)) as signed:
        argv = [tool, "--status-fd", "1", "--keyring", os.path.abspath(keys.keyring), signed.path, "-"]  # noqa: PTH100
        _, out, _ = communicate(argv, environment, payload)
    words = [line.split()[1:] for line in out.decode(errors="replace").splitlines() if line.startswith("[GNUPG:] ")]
    return _judge_openpgp([status for status in words if status], owners, keys.at)


def _judge_openpgp(statuses: Sequence[Sequence[str]], owners: Mapping[str, str], at: int = 0) -> Signer:
    """Good only if there is a GOODSIG and nothing worse: exit code and VALIDSIG are the same for expired and revoked keys."""
    expiries = [status[1] for status in statuses if status[0] == "KEYEXPIRED" and len(status) > 1]
    if at and expiries and all(moment.isdigit() and int(moment) > at for moment in expiries):
        statuses = [("GOODSIG", *status[1:]) if status[0] == "EXPKEYSIG" else status for status in statuses]
    names = [status[0] for status in statuses]
    for name, trouble in _TROUBLE.items():
        if name in names:
            raise RefusedError(trouble, hint="sign it again with a key that is valid now")
    if "NO_PUBKEY" in names:
        key = next(status[-1] for status in statuses if status[0] == "NO_PUBKEY")
        raise RefusedError(f"its OpenPGP key {key} is not in the keyring of the server", hint=_SAY_KEY)
    valid = [status for status in statuses if status[0] == "VALIDSIG"]
    if names.count("GOODSIG") != 1 or len(valid) != 1 or "ERRSIG" in names:
        raise RefusedError("the signature does not hold", hint="sign it again: git tag -f -s …")
    primary = valid[0][-1].upper()
    if primary not in owners:
        raise RefusedError(f"its OpenPGP key {primary} belongs to nobody here", hint=_SAY_KEY)
    return Signer(owners[primary], primary, OPENPGP)


def _is_armored(path: str) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 5) == b"-----"
    finally:
        os.close(file)


class _Memory:
    """A file without a name, which children read as `path`."""

    def __init__(self, content: bytes) -> None:
        self._file = os.memfd_create("git-pipeline", 0)  # without CLOEXEC: the child opens it through /dev/fd
        os.truncate(self._file, 0)
        while content:
            content = content[os.write(self._file, content) :]
        self.path = f"/dev/fd/{self._file}"

    def __enter__(self) -> "_Memory":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._file)
