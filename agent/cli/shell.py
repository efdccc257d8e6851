"""A shell where an action of `git pipeline run` failed: in a copy of its container, or in its workspace."""

import os
import subprocess

import click

from agent.errors import EnvironmentFault
from agent.executors.container import WORKSPACE, name
from agent.model.plan import Run
from agent.worker.rehearsal import Failed


def open_shell(failed: Failed) -> None:
    """Open one on the user's terminal, and wait until it ends. Raises EnvironmentFault if it cannot be had."""
    work = failed.work
    if not isinstance(work, Run) or work.runner not in {"docker", "local"}:
        return
    click.echo(f"{failed.place} failed; a shell with its files. Leave it with `exit`.", err=True)
    try:
        if work.runner == "local":
            subprocess.run([os.environ.get("SHELL", "/bin/sh")], cwd=failed.workspace / work.workdir, check=False)
        else:
            _in_container(failed.attempt, work)
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{error.filename} is not here", hint="a shell in a container needs the docker command") from error


def _in_container(attempt: str, work: Run) -> None:
    """The container itself has ended, so its file system and its mounts go on in another one."""
    former = name(attempt)
    committed = subprocess.run(["docker", "commit", former], capture_output=True, text=True, check=False)
    if committed.returncode:
        raise EnvironmentFault(f"the container of the action cannot be kept: {committed.stderr.strip()}")
    image = committed.stdout.strip()
    place = f"{WORKSPACE}/{work.workdir}" if work.workdir else WORKSPACE
    user = ("--user", work.user) if work.user else ()
    shell = work.shell if work.shell in {"sh", "bash"} else "sh"
    command = ("docker", "run", "--rm", "-it", *user, "--volumes-from", former, "--workdir", place, "--entrypoint", shell, image)
    try:
        subprocess.run(command, check=False)
    finally:
        subprocess.run(["docker", "rmi", "--force", image], capture_output=True, check=False)
