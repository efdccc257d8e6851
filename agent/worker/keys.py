"""The agent's own key, `<repo>.git/pipeline/key`: made once, never sent anywhere; what it signs carries its public half."""

import os
from pathlib import Path

from agent.errors import EnvironmentFault
from agent.results.sign import PrivateKey, PublicKey

NAME = "key"


def make(home: Path) -> PublicKey | None:
    """Make a key in `<repo>.git/pipeline/` if there is none, and return it. Raises EnvironmentFault."""
    place = home / NAME
    if place.exists():
        return None
    key = PrivateKey.generate()
    try:
        _write(home / f"{NAME}.pub", f"{key.public.line} git-pipeline\n".encode(), 0o644)
        _write(place, key.pem, 0o600)
    except OSError as error:
        raise EnvironmentFault(f"the agent's key cannot be written: {error}", hint=f"look at the owner of {home}") from error
    return key.public


def load(home: Path) -> PrivateKey:
    """The key; made first if this repository was installed before there were keys. Raises EnvironmentFault."""
    make(home)
    place = home / NAME
    try:
        if place.stat().st_mode & 0o077:
            raise EnvironmentFault(f"{place} can be read by others: anybody could sign as the agent", hint=f"chmod 600 {place}")
        return PrivateKey.load(place.read_bytes())
    except OSError as error:
        raise EnvironmentFault(f"the agent's key cannot be read: {error}", hint=f"look at the owner of {place}") from error


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and durable."""
    temporary = path.parent / f".{path.name}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    temporary.replace(path)
