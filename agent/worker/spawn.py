"""Starts the worker of a repository, detached: it outlives the push, the ssh session and Ctrl-C, and holds nothing of theirs."""

import os
import signal
from collections.abc import Mapping

from agent.errors import EnvironmentFault
from agent.worker import wake

_KEPT = {
    *(
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TMPDIR",
        "TZ",
        "USER",
        "XDG_RUNTIME_DIR",
        "XDG_STATE_HOME",
    ),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
}
_KEPT_PREFIXES = ("AWS_", "DOCKER_", "GIT_PIPELINE_")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# a hook ignores the first three while it records, Python the last two; a worker must not inherit that
_DEFAULT_AGAIN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)


def wake_or_start(directory: str, repository: str, python: str, environment: Mapping[str, str]) -> bool:
    """See that a worker looks at the queue of `<repo>.git/pipeline/`; True if one had to be started. Raises EnvironmentFault."""
    if wake.ring(directory):
        return False
    start(repository, python, environment, f"{directory}/agent.log")
    return True


def start(repository: str, python: str, environment: Mapping[str, str], log: str) -> int:
    """Start `python -I -m agent.worker <repository>` in a session of its own and return its process id.

    Its working directory is /, its output the log. Raises EnvironmentFault if no process can be started.
    """
    output = _open_log(log)
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir("/")  # posix_spawn cannot; the push's directory must not be held
        return os.posix_spawn(
            python,
            [python, "-I", "-m", "agent.worker", repository],
            clean(environment),
            file_actions=_descriptors(output),
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULT_AGAIN,
        )
    except OSError as error:
        raise EnvironmentFault(
            f"the worker does not start: {python}: {error.strerror}", hint=f"git pipeline resume {repository}"
        ) from error
    finally:
        os.fchdir(here)
        os.close(here)
        os.close(output)


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """What the worker inherits: nothing of git's, only what says where things are on this machine."""
    kept = {name: value for name, value in environment.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    return {"PATH": _PATH, "LANG": "C.UTF-8", **kept}


def _open_log(log: str) -> int:
    try:
        return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _descriptors(output: int) -> list[tuple[int, ...] | tuple[int, int, str, int, int]]:
    """0 is nothing, 1 and 2 are the log, and whatever else a caller passed on to this process is closed."""
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    return actions + [(os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inherited()]


def _inherited() -> list[int]:
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - pathlib costs a push milliseconds
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            pass  # the directory that listdir itself read
    return found
