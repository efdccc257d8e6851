"""Who may say what, as the operator's configuration has it, in a form that the hooks can keep: light values, JSON and back."""

import json
import re
from typing import NamedTuple

OPENPGP = "openpgp:"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TYPE = re.compile(r"(?:^|\s)((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+)\s+([A-Za-z0-9+/]+=*)")


class Person(NamedTuple):
    """Someone whom the operator knows; `keys` as in the configuration."""

    name: str
    keys: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    email: str = ""


class Policy(NamedTuple):
    """What a control tag is judged by. `verbs` says for each verb which people or roles may use it.

    `revoked_keys` and `openpgp_keyring` are paths, empty if there are none; `drift` is how many seconds the tagger's clock may
    be off; `bound`: every tag must name the execution's id.
    """

    people: tuple[Person, ...] = ()
    verbs: dict[str, tuple[str, ...]] = {}
    revoked_keys: str = ""
    openpgp_keyring: str = ""
    drift: float = 300.0
    bound: bool = False

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """The roles of everyone."""
        return {person.name: person.roles for person in self.people}

    def person(self, name: str) -> Person:
        """Someone of this name; without keys and roles if nobody has it."""
        return next((person for person in self.people if person.name == name), Person(name))


class SshKey(NamedTuple):
    """An SSH key of the configuration: options as in an allowed_signers file, type, and base64."""

    options: str
    type: str
    blob: str

    @property
    def is_authority(self) -> bool:
        return any(option.strip().lower() == "cert-authority" for option in self.options.split(","))


def ssh_key(text: str) -> SshKey | None:
    """The parts of an SSH key with what may stand before it; None if it is none."""
    found = _TYPE.search(text)
    if not found or CONTROL.search(text):
        return None
    return SshKey(text[: found.start()].strip(), found[1], found[2])


def fingerprint(key: str) -> str:
    """The OpenPGP fingerprint of a key of the configuration, upper case without blanks; empty if it is not one."""
    return key.removeprefix(OPENPGP).replace(" ", "").upper() if key.startswith(OPENPGP) else ""


def encode(policy: Policy) -> str:
    """As JSON."""
    return json.dumps(policy)


def decode(text: str) -> Policy:
    """From JSON. Raises ValueError for anything else."""
    people, verbs, revoked, keyring, drift, bound = json.loads(text)
    known = tuple(Person(name, tuple(keys), tuple(roles), email) for name, keys, roles, email in people)
    return Policy(known, {verb: tuple(names) for verb, names in verbs.items()}, revoked, keyring, drift, bound)
