"""The verdict on a push, before any ref moves: refuse it, or record it as pending and let it pass.

A push suffers only from its own faults: where the agent cannot judge or record, the push goes through, and the pusher is told.
A push without pipeline files leaves nothing but a file that lets the shim of post-receive pass it by; what is needed for
anything more is imported late.
"""

import os
import sys
from collections.abc import Mapping

from agent.errors import UsageError
from agent.git.command import Git, clean_environment, git_dir_of
from agent.git.receive import read_push
from agent.git.tree import definition_trees
from agent.hooks import stage
from agent.hooks.gate import trespass
from agent.model.push import Push
from agent.trust.names import is_control

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from agent.worker.inquiry import Inquiry
LONGEST = 60  # seconds; a judgement that takes longer ends by SIGALRM, and the shim refuses the push


def main() -> None:
    """Called by the shim with the process id of git as the argument; ends the process."""
    import signal

    signal.alarm(LONGEST)
    os._exit(run(stage.read_input(), os.environ, sys.argv[1] if len(sys.argv) > 1 else ""))


def run(text: bytes, environ: Mapping[str, str], process: str) -> int:
    """Judge one push and return the exit code: 0, or REFUSED after the reasons were said."""
    git_dir = git_dir_of(environ)
    try:
        push = read_push(text, environ, "")
    except UsageError as error:
        return _refuse(str(error))
    if refused := trespass(push.updates):
        return _refuse(refused)
    refused = ""
    try:
        refused = _judge(git_dir, environ, push, process)
    except Exception as error:
        if any(is_control(update.ref) for update in push.updates):  # nobody may think that it was heard
            stage.tell(git_dir, "pre-receive", error, "the agent has a fault, and cannot judge control tags:")
            return _refuse("push the control tags again when that is mended")
        stage.tell(git_dir, "pre-receive", error, "the agent has a fault, but the push goes through:")
    return _refuse(refused) if refused else 0


def _refuse(reason: str) -> int:
    stage.say(f"this push is refused: {reason}")
    return stage.REFUSED


def _judge(git_dir: str, environ: Mapping[str, str], push: Push, process: str) -> str:
    git = Git(git_dir, clean_environment(environ, quarantine=True))
    steers = any(is_control(update.ref) for update in push.updates)
    trees = definition_trees(git, [update.new for update in push.updates if not (update.is_deletion or is_control(update.ref))])
    mark = stage.quiet_mark(git_dir, process, push)
    if not steers and not any(trees.values()) and not os.access(f"{stage.home(git_dir)}/{stage.UNSETTLED}", os.F_OK):
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return ""
    if os.access(mark, os.F_OK):
        os.unlink(mark)  # noqa: PTH108 - of a push long ago
    inquiry = _inquire(git, push, environ) if steers else None
    try:
        from agent.hooks.verdict import judge_and_record

        return judge_and_record(git, push, process, trees, inquiry)
    finally:
        if inquiry:
            inquiry.close()


def _inquire(git: Git, push: Push, environ: Mapping[str, str]) -> "Inquiry":
    from agent.worker.inquiry import Inquiry

    return Inquiry(git, push.updates, clean_environment(environ))
