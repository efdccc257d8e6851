"""The list of repositories with the agent, for `git pipeline worker --all`: one absolute path a line.

Of root: /var/lib/git-pipeline/repositories. Of anyone else: $XDG_STATE_HOME/git-pipeline/repositories, by default under
~/.local/state. GIT_PIPELINE_REPOSITORIES names another file.
"""

import os
from collections.abc import Callable, Mapping
from fcntl import LOCK_EX, flock
from pathlib import Path

from agent.errors import EnvironmentFault

SYSTEM = Path("/var/lib/git-pipeline/repositories")


def location(environment: Mapping[str, str], uid: int) -> Path:
    """Where the list of this user stands."""
    if named := environment.get("GIT_PIPELINE_REPOSITORIES"):
        return Path(named)
    if uid == 0:
        return SYSTEM
    state = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or "/") / ".local/state")
    return Path(state) / "git-pipeline" / "repositories"


def repositories(registry: Path) -> tuple[Path, ...]:
    """All in the list, also those that are gone by now. Raises EnvironmentFault."""
    try:
        lines = registry.read_text().splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise EnvironmentFault(f"{registry}: {error.strerror}", hint="look at its owner and mode") from error
    return tuple(Path(line) for line in lines if line.strip())


def add(registry: Path, repository: Path) -> bool:
    """Put a repository on the list; False if it is there. Raises EnvironmentFault."""
    if repository in repositories(registry):
        return False
    _change(registry, lambda known: (*known, repository))
    return True


def remove(registry: Path, repository: Path) -> bool:
    """Take a repository off the list; False if it was not there. Raises EnvironmentFault."""
    if repository not in repositories(registry):
        return False
    _change(registry, lambda known: tuple(path for path in known if path != repository))
    return True


def _change(registry: Path, change: Callable[[tuple[Path, ...]], tuple[Path, ...]]) -> None:
    try:
        registry.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with registry.with_name(f".{registry.name}.lock").open("a") as lock:
            flock(lock, LOCK_EX)
            paths = dict.fromkeys(change(repositories(registry)))
            fresh = registry.with_name(f".{registry.name}.{os.getpid()}")
            fresh.write_text("".join(f"{path}\n" for path in paths))
            fresh.replace(registry)
    except OSError as error:
        raise EnvironmentFault(f"{registry}: {error.strerror}", hint="look at its owner and mode") from error
