"""Secrets on their way to one attempt: fetched when it starts, kept in memory only, gone when it has ended."""

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from agent.actions.base import Attempt
from agent.errors import EnvironmentFault
from agent.executors.base import SECRETS_ENV
from agent.secrets.base import Secrets
from agent.secrets.redact import Redactor


class Vault:
    """Directories with the secrets of attempts, on a file system in memory. Safe from several threads for different attempts."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def give(self, attempt: Attempt, secrets: Secrets) -> Redactor:
        """Put the secrets of an attempt where its job will read them; what masks them. Again for the same attempt: the same.

        Raises EnvironmentFault if one cannot be had. Whether the attempt may have them was asked before.
        """
        values = {name: secrets.get(name) for name in attempt.action.secrets}
        if values:
            exports = {variable: values[name] for name, variable in attempt.action.secrets.items() if variable}
            self._write(self.directory(attempt), {**values, SECRETS_ENV: _exports(exports)})
        return Redactor(values.values())

    def directory(self, attempt: Attempt) -> Path:
        """Where the secrets of an attempt are, if it has any."""
        return self._root / attempt.id

    def take_away(self, attempt: str) -> None:
        """The attempt of this id has ended. Safe twice."""
        shutil.rmtree(self._root / attempt, ignore_errors=True)

    def attempts(self) -> tuple[str, ...]:
        """Those that have secrets now, also of a killed worker."""
        return tuple(path.name for path in self._root.iterdir()) if self._root.is_dir() else ()

    def _write(self, directory: Path, files: Mapping[str, bytes]) -> None:
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.mkdir(mode=0o755, exist_ok=True)  # the job may run as anybody; nobody else comes past the root
            for name, content in files.items():
                fresh = directory / f".{name}.new"
                fresh.write_bytes(content)
                fresh.chmod(0o444)
                fresh.replace(directory / name)
        except OSError as error:
            raise EnvironmentFault(f"{directory}: {error.strerror}", hint="secrets need a file system in memory there") from error


def root_of(environment: Mapping[str, str], uid: int, repository: str) -> Path:
    """A directory in memory for the secrets of a repository; `repository` is its identity."""
    if uid == 0:
        return Path("/run/git-pipeline/secrets") / repository
    runtime = environment.get("XDG_RUNTIME_DIR") or ""
    base = Path(runtime) / "git-pipeline" if runtime and os.access(runtime, os.W_OK) else Path(f"/dev/shm/git-pipeline-{uid}")
    return base / "secrets" / repository


def _exports(variables: Mapping[str, bytes]) -> bytes:
    """Assignments for a POSIX shell. A NUL byte cannot stand in a variable and is left out."""
    lines = (f"{name}={shlex.quote(os.fsdecode(value.replace(bytes(1), b'')))}\n" for name, value in variables.items())
    return b"".join(os.fsencode(line) for line in lines)
