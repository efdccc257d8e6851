"""What both hooks stand on: input, output, clock, and where the details of a fault go."""

import os

from agent.errors import AgentError
from agent.model.push import Push

REFUSED = 65  # the shim of pre-receive tells by it a refusal from a hook that broke
UNSETTLED = "unsettled"  # agent.worker.intake keeps this file
TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from datetime import datetime
_PREFIX = "git-pipeline: "


def say(*texts: str) -> None:
    """Write lines for the pusher; each text carries our name. Nobody to read them is no fault."""
    from agent.worker.terminal import sanitise

    lines = [line for text in texts for line in (_PREFIX + text).split("\n")]
    data = "".join(f"{sanitise(line)}\n" for line in lines).encode(errors="replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        pass


def read_input() -> bytes:
    """All of the standard input."""
    parts = []
    while part := os.read(0, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def now() -> "datetime":
    """The time, in UTC."""
    from datetime import UTC, datetime

    return datetime.now(UTC)


def home(git_dir: str) -> str:
    """`<repo>.git/pipeline`."""
    return f"{git_dir}/pipeline"


def quiet_mark(git_dir: str, process: str, push: Push) -> str:
    """The file that tells the shim of post-receive to pass by a push: named by git's process and the first new object.

    The directory of the agent is made if somebody has removed it. Raises OSError.
    """
    return f"{_made(git_dir)}/quiet.{process}.{push.updates[0].new if push.updates else ''}"


def state_path(git_dir: str) -> str:
    """The database of a repository; the directory of the agent is made if somebody has removed it. Raises OSError."""
    return f"{_made(git_dir)}/state.db"


def _made(git_dir: str) -> str:
    directory = home(git_dir)
    if not os.access(directory, os.F_OK):
        os.mkdir(directory, 0o700)  # noqa: PTH102 - pathlib costs a push milliseconds
    return directory


def tell(git_dir: str, hook: str, error: BaseException, what: str, hint: str = "") -> None:
    """Say to the pusher what failed and what to run, and put the details into the agent's log."""
    note(git_dir, hook, error)
    say(f"{what} {in_words(error)}" + (f"\n{hint}" if hint else ""))


def in_words(error: BaseException) -> str:
    """What a person reads: an error of ours as it is; of anything else only its kind, as the details are in the log."""
    if isinstance(error, AgentError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system'}: {error.strerror}"
    return f"this is a bug ({type(error).__name__}), the details are in pipeline/agent.log on the server"


def note(git_dir: str, hook: str, error: BaseException) -> None:
    """Add a fault with its traceback to the agent's log; nothing if even that cannot be written."""
    import json
    import traceback

    if os.access(home(git_dir), os.F_OK) and os.stat(home(git_dir)).st_uid != os.geteuid():  # noqa: PTH116 - as above
        return  # a log that we made would lock its owner out
    entry = {"at": now().isoformat(), "where": hook, "error": str(error), "traceback": traceback.format_exception(error)}
    try:
        log = os.open(f"{home(git_dir)}/agent.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(log, (json.dumps(entry) + "\n").encode())
        finally:
            os.close(log)
    except OSError:
        pass
