"""After the refs have moved: queue what the push starts, see that a worker runs, and show the pusher how it goes on.

Until everything is queued nothing can interrupt it; after that, Ctrl-C and a lost connection end nothing but the showing.
What is not needed by a push that starts nothing is imported late.
"""

import os
import signal
import sys
from collections.abc import Mapping

from agent.git.command import Git, clean_environment, git_dir_of
from agent.git.receive import read_push
from agent.hooks import stage
from agent.state.database import Database, open_database
from agent.worker.intake import Admission, Intake

SHOWN = 20  # executions that are announced and followed
_INTERRUPTIONS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


def main() -> None:
    """Called by the shim; ends the process.

    Arguments: the process id of git, the path of the former hook, the first line of the input, which the shim has read.
    """
    for interruption in _INTERRUPTIONS:
        signal.signal(interruption, signal.SIG_IGN)
    process, former_hook, first = (*sys.argv[1:], "", "", "")[:3]
    run(os.fsencode(first) + b"\n" + stage.read_input(), os.environ, process, former_hook)
    os._exit(0)


def run(text: bytes, environ: Mapping[str, str], process: str, former_hook: str) -> None:
    """Take in one push. Whatever goes wrong is said to the pusher, and never breaks the push, which is done already."""
    git_dir = git_dir_of(environ)
    try:
        push = read_push(text, environ, stage.now().isoformat())
        database = open_database(stage.state_path(git_dir))
        admission = Intake(Git(git_dir, clean_environment(environ)), database, stage.now).take(push, process)
        follows = None if push.options.detach else database
    except Exception as error:
        what = "the push went through, but the agent could not queue what it starts:"
        stage.tell(git_dir, "post-receive", error, what, f"when that is mended, run on the server: git pipeline resume {git_dir}")
        admission, follows = Admission(), None
    _announce(admission)
    goes_on = bool(admission.started or admission.steered) and _start_worker(git_dir, environ)
    if former_hook and os.access(former_hook, os.X_OK):
        from agent.hooks import chained

        chained.run(former_hook, text, environ)
    if goes_on and follows:
        _follow(git_dir, admission, follows)


def _announce(admission: Admission) -> None:
    labels = [started.label for started in admission.started]
    lines = [f"{label} queued" for label in labels[:SHOWN]]
    if len(labels) > SHOWN:
        lines.append(f"and {len(labels) - SHOWN} more executions queued")
    lines += [one.line for one in admission.steered[:SHOWN]]
    if lines or admission.lines:
        stage.say(*lines, *admission.lines[:SHOWN])


def _start_worker(git_dir: str, environ: Mapping[str, str]) -> bool:
    from agent.worker.spawn import wake_or_start

    try:
        wake_or_start(stage.home(git_dir), git_dir, sys.executable, environ)
    except Exception as error:
        hint = f"to start it, run on the server: git pipeline resume {git_dir}"
        stage.tell(git_dir, "post-receive", error, "it is queued, but no worker could be started:", hint)
        return False
    return True


def _follow(git_dir: str, admission: Admission, database: Database) -> None:
    import time

    from agent.worker.follow import Followed, Output, follow

    for interruption in _INTERRUPTIONS:
        signal.signal(interruption, signal.SIG_DFL)
    followed = [Followed(started.id, started.label) for started in admission.started[:SHOWN]]
    if admission.steered:
        from agent.worker.accepted import answered

        followed += answered(database, admission.steered, stage.say, time.monotonic, time.sleep)
    follow(stage.home(git_dir), followed, Output(1), time.monotonic, time.sleep)
