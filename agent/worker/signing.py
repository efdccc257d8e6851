"""The operator's configuration as far as signed tags need it: read with the rest once, kept until a byte of it changes.

pre-receive imports this; the model of the whole configuration would cost every control tag 60 ms.
"""

import json
import os

from agent.errors import ConfigError
from agent.state.database import Database
from agent.state.marks import Marks
from agent.trust import people
from agent.trust.people import Person, Policy

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from agent.config import Config

SYSTEM_CONFIG = "/etc/git-pipeline/config.toml"
_MARK = "policy of control tags"
_VERSION = 1  # of what is kept


def policy(database: Database, home: str, system: str = SYSTEM_CONFIG) -> Policy:
    """The policy that is in force now in `<repo>.git/pipeline/`. Raises ConfigError, or EnvironmentFault of the database."""
    layers = {path: text for path in (system, f"{home}/config.toml") if (text := _read(path)) is not None}
    kept = json.dumps([_VERSION, {path: text.decode(errors="surrogateescape") for path, text in layers.items()}])
    marks = Marks(database)
    known, _, body = marks.get(_MARK).partition("\n")
    if known == kept and body:
        return people.decode(body)
    found = policy_of(_parse(layers), home)
    marks.put(_MARK, f"{kept}\n{people.encode(found)}")
    return found


def in_force(database: Database, home: str) -> Policy:
    """As `policy`; while the configuration is broken the last one that was not, by which the last tags were judged."""
    try:
        return policy(database, home)
    except ConfigError:
        body = Marks(database).get(_MARK).partition("\n")[2]
        return people.decode(body) if body else Policy(people=())


def policy_of(config: "Config", home: str) -> Policy:
    """The part of a configuration that control tags are judged by; paths are made absolute, relative to `home`."""
    control = config.control
    verbs = {verb: getattr(control, verb) for verb in ("stop", "retry", "rollback", "disable", "enable", "override", "start")}
    return Policy(
        people=tuple(Person(name, one.keys, one.roles, one.email) for name, one in config.people.items()),
        verbs=verbs,
        revoked_keys=_below(home, config.revoked_keys),
        openpgp_keyring=_below(home, config.openpgp_keyring),
        drift=control.drift.total_seconds(),
        bound=control.name_execution,
    )


def _parse(layers: dict[str, bytes]) -> "Config":
    from agent.worker.judge import find_packages

    find_packages()
    from agent.config import parse

    return parse(layers)


def _below(home: str, path: str) -> str:
    return os.path.join(home, path) if path else ""  # noqa: PTH118 - pathlib costs a push milliseconds


def _read(path: str) -> bytes | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        parts = []
        while part := os.read(file, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)
