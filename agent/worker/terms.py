"""Under which configuration each execution runs: the operator's as it was when the execution started, until that is over.

The file is read anew for each execution. A file that is broken lets nothing new start; what runs does not notice, and neither
does it after a restart of the worker, as what it started with is kept in the state.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.config import Config, parse, restore
from agent.errors import ConfigError
from agent.secrets.base import Secrets
from agent.state.policies import Policies
from agent.worker.permit import Permit


class Terms(NamedTuple):
    """What one configuration means for the executions that run under it."""

    config: Config
    digest: str
    permit: Permit
    secrets: Secrets


class Book:
    """The terms of all executions of a repository. Safe from several threads."""

    def __init__(self, layers: tuple[Path, ...], policies: Policies, secrets: Callable[[Config], Secrets]) -> None:
        """`layers`: the files, from the weakest to the strongest; `secrets` makes those of a configuration."""
        self._layers = layers
        self._policies = policies
        self._secrets = secrets
        self._alone = policies.alone  # no lock beside that of the state, which some who ask hold already
        self._read: tuple[Mapping[str, bytes], Terms] | None = None
        self._made: dict[str, Terms] = {}
        self._fixed: dict[str, Terms] = {}  # by execution, of those that have started

    def now(self) -> Terms:
        """What the files say now, stored for good. Raises ConfigError, and EnvironmentFault of the database."""
        with self._alone:
            texts = read(self._layers)
            if self._read is None or self._read[0] != texts:
                self._read = texts, self._kept(parse(texts))
            return self._read[1]

    def in_force(self) -> Terms:
        """As `now`; while the files are broken, what they said last; what holds without a file if nobody has ever read them."""
        try:
            return self.now()
        except ConfigError:
            return self._stored(*self._policies.last()) or self._terms(Config())

    def of(self, execution: str) -> Terms:
        """What an execution runs under; before it has started, what is in force.

        So it is for one whose configuration this version of the agent cannot read any more.
        """
        if execution not in self._fixed:
            stored = self._stored(*self._policies.of(execution))
            if stored is None:
                return self.in_force()
            self._fixed[execution] = stored
        return self._fixed[execution]

    def renew(self, execution: str) -> None:
        """One that was over goes on, by a retry: what is in force now holds for it, as for a new one."""
        terms = self.in_force()
        self._kept(terms.config)
        self._policies.set(execution, terms.digest)
        self._fixed.pop(execution, None)

    def _kept(self, config: Config) -> Terms:
        terms = self._terms(config)
        if self._policies.last()[0] != terms.digest:
            self._policies.keep(terms.digest, _body(config).decode())
        return terms

    def _stored(self, digest: str, body: str) -> Terms | None:
        if digest in self._made or not body:
            return self._made.get(digest)
        try:
            config = restore(body)
        except ConfigError:
            return None
        self._made[digest] = made = self._terms(config)._replace(digest=digest)
        return made

    def _terms(self, config: Config) -> Terms:
        digest = policy_digest(config)
        return self._made.setdefault(digest, Terms(config, digest, Permit(config), self._secrets(config)))


def read(layers: tuple[Path, ...]) -> dict[str, bytes]:
    """The files that are there. Raises ConfigError for one that cannot be read."""
    found = {}
    for path in layers:
        try:
            found[str(path)] = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}", hint="the agent must be able to read it") from error
    return found


def policy_digest(config: Config) -> str:
    """sha256 of a configuration; it names secrets and where they are kept, and holds none."""
    return sha256(_body(config)).hexdigest()


def _body(config: Config) -> bytes:
    return msgspec.json.encode(config.model_dump(mode="json"), order="sorted")
