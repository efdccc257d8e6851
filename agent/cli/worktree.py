"""The work tree around the current directory, and the commits that revisions name."""

import os
import subprocess
from pathlib import Path

from agent.errors import UsageError
from agent.git.command import Git
from agent.git.history import resolve


def commit_of(git: Git, revision: str) -> str:
    """The commit that a revision names. Raises UsageError if it names none."""
    commit = resolve(git, revision)
    if commit is None:
        raise UsageError(f"{revision} is no commit here", hint="git fetch brings new ones")
    return commit


def work_tree() -> str:
    """The root of the working tree around the current directory; empty in a bare repository."""
    found = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return str(Path(os.fsdecode(found.stdout.rstrip(b"\n")))) if found.returncode == 0 else ""
