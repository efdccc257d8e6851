"""Small pipelines for faults: one action, what the record tells of it, and places where nothing fits any more."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support import system
from tests.support.system import System

LOCAL = "[local]\nenabled = true\n"
THOROUGH = bool(os.environ.get("GIT_PIPELINE_THOROUGH"))  # as `make crash` sets it
ACTION = "stages:\n  - name: only\n    actions:\n      - name: act\n        {runner}\n        run: |\n{script}"


def one(script: str, runner: str = "runner: local") -> dict[str, str]:
    """A pipeline with one action."""
    lines = "".join(f"          {line}\n" for line in script.splitlines())
    return {".pipeline/release.yaml": ACTION.format(runner=runner, script=lines)}


def record(made: System) -> dict:
    """The one record of the commit."""
    (found,) = made.records(made.head)
    return found


def action(made: System) -> dict:
    """What it tells of its one action."""
    return record(made)["stages"][0]["actions"][0]


def ran(made: System, script: str, runner: str = "runner: local") -> dict:
    """Push it, and work until it is over; what the record tells of the action."""
    made.commit(one(script, runner))
    made.queued()
    assert made.work() == 0, made.log
    assert list(system.leftovers(made)) == []
    return action(made)


def printed(made: System) -> bytes:
    """What the logs of all attempts hold by now."""
    return b"".join(path.read_bytes() for path in made.directory.glob("executions/*/logs/*.log"))


def shrink(place: Path, megabytes: int = 8) -> None:
    """From now on a directory is a small file system of its own. Needs root."""
    aside = place.with_name("aside")
    if place.exists():
        place.rename(aside)
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place], check=True)
    if aside.exists():
        subprocess.run(["cp", "-a", f"{aside}/.", place], check=True)
        subprocess.run(["rm", "-r", aside], check=True)


def fill(path: Path) -> None:
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
