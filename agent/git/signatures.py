"""Who signed something: SSH signatures by `ssh-keygen -Y`, OpenPGP ones by `gpgv`. pre-receive imports this.

Judged by the time at which it is asked, never by a date that the signer wrote; so a key that has expired signs nothing any more,
whatever date it is given. What the tools must read lies in memory (memfd), so nothing is left behind by a kill.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import NamedTuple, Protocol

from agent.errors import EnvironmentFault, RefusedError
from agent.git import sshsig
from agent.git.command import Child, communicate, find_program
from agent.git.sshsig import Signature
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
    with closing(begin(payload, signature, kind, keys, environment)) as check:
        return check.signer()


class Check(Protocol):
    """A signature that is being verified beside us."""

    def signer(self) -> Signer:
        """Wait for the verdict, once; returns and raises as `verify`."""

    def close(self) -> None:
        """End what still runs, and give back what it read. Again: nothing."""


def begin(payload: bytes, signature: bytes, kind: str, keys: Keys, environment: Mapping[str, str]) -> Check:
    """Begin what `verify` does; raises as that where it can be told at once. To be closed."""
    if not signature:
        raise RefusedError("it is not signed", hint="sign it: git tag -s; git config gpg.format ssh to do it with an SSH key")
    if kind not in _ENDS:
        raise RefusedError("X.509 signatures are not known here", hint="sign it with an SSH or an OpenPGP key")
    if _ENDS[kind] not in signature or signature.rstrip().count(b"\n") != signature[: _last(signature, kind)].count(b"\n"):
        raise RefusedError("the signature is malformed", hint="make it with git tag -s")
    return (_Ssh if kind == SSH else _OpenPgp)(payload, signature, keys, environment)


def _last(signature: bytes, kind: str) -> int:
    return signature.rindex(_ENDS[kind])


# --- SSH ------------------------------------------------------------------------------------------------------------------


class _Ssh:
    """`ssh-keygen` is asked at once whether the signature is of whom its key suggests.

    Only if it is not, or nobody is suggested, it is asked who could have made it, and whether they did; so a wrong suggestion
    costs time and nothing else.
    """

    def __init__(self, payload: bytes, signature: bytes, keys: Keys, environment: Mapping[str, str]) -> None:
        if keys.revoked and not os.access(keys.revoked, os.R_OK):
            raise EnvironmentFault(f"the list of revoked keys cannot be read: {keys.revoked}", hint="mend `revoked_keys`")
        self._payload, self._keys, self._environment = payload, keys, environment
        self._tool = find_program("ssh-keygen", environment, "install OpenSSH's client on the server")
        self._owners = principals(keys.people)
        self._said = sshsig.read(signature)
        with ExitStack() as files:
            allowed = files.enter_context(_Memory(allowed_signers(keys.people, self._owners).encode())).path
            signed = files.enter_context(_Memory(signature)).path
            moment = ("-O", f"verify-time={time.strftime('%Y%m%d%H%M%S', time.localtime(keys.at))}") if keys.at else ()
            self._arguments = (*moment, "-f", allowed, "-s", signed)
            self._suggested = _suggested(self._said, keys.people, self._owners)
            self._asked = files.enter_context(closing(self._ask(self._suggested))) if self._suggested else None
            self._open = files.pop_all()

    def close(self) -> None:
        self._open.close()

    def signer(self) -> Signer:
        if self._asked and (known := self._judge(self._suggested, self._asked)[0]):
            return known
        code, out, err = communicate([self._tool, "-Y", "find-principals", *self._arguments], self._environment)
        found = re.split("[\n,]", out.decode(errors="replace"))[0].strip()
        if code or found not in self._owners:
            raise _unknown(self._said, self._keys.people, err)
        signer, err = self._judge(found, self._ask(found))
        if signer is None:
            raise _bad(self._said, self._owners[found], err, bool(self._keys.revoked))
        return signer

    def _ask(self, principal: str) -> Child:
        revocation = ("-r", self._keys.revoked) if self._keys.revoked else ()
        how = [self._tool, "-Y", "verify", "-n", NAMESPACE, "-I", principal, *self._arguments, *revocation]
        return Child(how, self._environment, self._payload)

    def _judge(self, principal: str, asked: Child) -> tuple[Signer | None, bytes]:
        code, out, err = asked.result()
        good = _GOOD.search(out)
        if code or good is None or good["principal"].decode() != principal:
            return None, err
        return Signer(self._owners[principal], good["print"].decode(), SSH), b""


def _suggested(said: Signature, people: Sequence[Person], owners: Mapping[str, str]) -> str:
    """The principal that find-principals would name first, as far as the key tells; empty if it does not."""
    owner, key = _owner(said.blob, people)
    if key and not key.is_authority:
        return owner if owner in owners else ""
    lines = _lines(people, owners) if said.is_certificate else ()
    return next((name for names, key in lines if key.is_authority for name in names if said.may_be_of(name, key.blob)), "")


def principals(people: Iterable[Person]) -> dict[str, str]:
    """Under which names people stand in allowed_signers: their own, and for certificates an address that is theirs alone."""
    known = tuple(people)
    addresses = [person.email for person in known]
    own = {person.email: person.name for person in known if _PRINCIPAL.fullmatch(person.email)}
    alone = {email: name for email, name in own.items() if addresses.count(email) == 1}
    return {**alone, **{person.name: person.name for person in known if _PRINCIPAL.fullmatch(person.name)}}


def allowed_signers(people: Iterable[Person], owners: Mapping[str, str]) -> str:
    """The text of an allowed_signers file. An authority's certificates count for whom they name, by name or address."""
    lines = (" ".join(filter(None, (",".join(names), key.options, key.type, key.blob))) for names, key in _lines(people, owners))
    return "".join(f"{line}\n" for line in lines)


def _lines(people: Iterable[Person], owners: Mapping[str, str]) -> Iterator[tuple[list[str], SshKey]]:
    for person in people:
        names = [principal for principal, owner in owners.items() if owner == person.name]
        for key in filter(None, map(ssh_key, person.keys)):
            shown = names if key.is_authority else [name for name in names if name == person.name]
            if shown:
                yield shown, key


def _unknown(signature: Signature, people: Iterable[Person], said: bytes) -> RefusedError:
    """Nobody has the key now; tell one that is not valid from one that never was."""
    owner, _ = _owner(signature.blob, people)
    whose = f"{owner}'s key" if owner else "the certificate or its authority"
    if b"expired" in said and (owner or signature.is_certificate):
        return RefusedError(f"{whose} has expired", hint=f"use another one; {_SAY_KEY}")
    if b"not yet valid" in said and (owner or signature.is_certificate):
        return RefusedError(f"{whose} is not yet valid", hint="wait, or use another one")
    if signature.is_certificate:
        return RefusedError(
            "its certificate counts for nobody here",
            hint="it must be valid, from an authority in `keys` of [people.NAME], and its principal that person's name or e-mail",
        )
    return RefusedError(f"its key {signature.fingerprint} belongs to nobody here", hint=_SAY_KEY)


def _bad(signature: Signature, person: str, said: bytes, has_list: bool) -> RefusedError:
    namespace = signature.namespace
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


# --- OpenPGP --------------------------------------------------------------------------------------------------------------


class _OpenPgp:
    """`gpgv`, with the keyring of the operator."""

    def __init__(self, payload: bytes, signature: bytes, keys: Keys, environment: Mapping[str, str]) -> None:
        self._owners = {fingerprint(key): person.name for person in keys.people for key in person.keys if fingerprint(key)}
        self._at = keys.at
        if not self._owners:
            hint = (
                'sign with an SSH key; or the operator adds "openpgp:FINGERPRINT" to somebody\'s `keys`, and an `openpgp_keyring`'
            )
            raise RefusedError("nobody here has an OpenPGP key", hint=hint)
        if not os.access(keys.keyring, os.R_OK) or _is_armored(keys.keyring):
            raise EnvironmentFault(
                f"the OpenPGP keyring cannot be read: {keys.keyring or 'none is set'}",
                hint="on the server: gpg --export (without --armor) FINGERPRINT > keyring.gpg; `openpgp_keyring` names that file",
            )
        tool = find_program("gpgv", environment, "install gpgv on the server")
        with ExitStack() as files:
            signed = files.enter_context(_Memory(signature)).path
            argv = [tool, "--status-fd", "1", "--keyring", os.path.abspath(keys.keyring), signed, "-"]  # noqa: PTH100
            self._asked = files.enter_context(closing(Child(argv, environment, payload)))
            self._open = files.pop_all()

    def close(self) -> None:
        self._open.close()

    def signer(self) -> Signer:
        _, out, _ = self._asked.result()
        words = [line.split()[1:] for line in out.decode(errors="replace").splitlines() if line.startswith("[GNUPG:] ")]
        return _judge_openpgp([status for status in words if status], self._owners, self._at)


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
