"""The contract of secret sources, and the sources that need nothing but this machine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from agent.config import Secret
from agent.errors import EnvironmentFault


class SecretSource(Protocol):
    """One kind of place where secrets are kept. Called from several threads."""

    def get(self, name: str, secret: Secret) -> bytes:
        """The value as it is now. Raises EnvironmentFault, which never holds a value, if it cannot be had."""


class FileSource:
    """`file`: relative to the directory of the configuration; of nobody else's to read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, name: str, secret: Secret) -> bytes:
        path = self._directory / secret.file
        try:
            if path.stat().st_mode & 0o077:
                raise EnvironmentFault(f"secret {name}: {path} can be read by others", hint=f"chmod 600 {path}")
            return path.read_bytes()
        except OSError as error:
            raise EnvironmentFault(f"secret {name}: {path}: {error.strerror}", hint="the operator puts it there") from error


class EnvironmentSource:
    """`environment`: a variable of the agent's own environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self, name: str, secret: Secret) -> bytes:
        value = self._environment.get(secret.environment)
        if value is None:
            raise EnvironmentFault(
                f"secret {name}: the agent has no environment variable {secret.environment}",
                hint="it must be set for the worker, whose name must start with GIT_PIPELINE_ to be passed on by the hooks",
            )
        return value.encode()


class Secrets:
    """All secrets of the configuration, by name; a source is made when first asked for."""

    def __init__(self, known: Mapping[str, Secret], makers: Mapping[str, Callable[[], SecretSource]]) -> None:
        self._known = known
        self._makers = makers

    def get(self, name: str) -> bytes:
        """The value, without a last line break. Raises EnvironmentFault."""
        secret = self._known[name]
        return self._makers[secret.source]().get(name, secret).removesuffix(b"\n")
