"""A worker that is killed at a chosen point: each journal write, each effect, before and after, without a hook in the product.

`python -c 'from tests.support.crashes import main; main()' REPOSITORY` is `python -m agent.worker REPOSITORY` with its calls
counted. CRASH_TRACE names a file that gets each point that is passed, CRASH_AT is the one at which the process kills itself.
A point is `<what> <which time> before|after`. CRASH_SHARE is a directory that containers see too, as /share. CRASH_SHIFT
moves the worker's clock by that many seconds, CRASH_PATIENCE is how many it waits for what may
pass: unconfirmed pushes, locks, faults.

`hook` is the same for a hook: it stands in for the interpreter that the shims call; the points are called pre:… and post:….
"""

import gc
import importlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Lock

CALLS = {
    "agent.state.journal": {"Journal": ["append"]},
    "agent.state.queue": {"Queue": ["set_status", "set_plan", "mark_published", "enqueue"]},
    "agent.state.passes": {"Passes": ["add"]},
    "agent.state.pushes": {"Pushes": ["close"]},
    "agent.state.outbox": {"Outbox": ["add", "delivered"]},
    "agent.state.requests": {"Requests": ["settle"]},
    "agent.state.database": {"Database": ["_finish"]},
    "agent.git.checkout": {"Checkouts": ["acquire", "release", "retain"], "Slot": ["bring"]},
    "agent.git.notes": {"Notes": ["edit", "_swap"]},
    "agent.git.objects": {"ObjectWriter": ["_write"]},
    "agent.workspaces.overlay": {"OverlayWorkspaces": ["create", "remove", "_mount"]},
    "agent.artifacts.local": {"LocalStore": ["put", "fetch"]},
    "agent.artifacts.cache": {"CacheStore": ["claim", "save", "release"]},
    "agent.executors.local": {"LocalExecutor": ["run", "discard", "sweep", "_start", "_finish"]},
    "agent.executors.containers": {"ContainerExecutor": ["run", "discard", "sweep", "prepare"]},
    "agent.executors.hold": {"Holder": ["hold"]},
    "agent.executors.docker": {
        "DockerEngine": ["create", "attach", "start", "inspect", "follow", "remove"],
        "SocketAttachment": ["go", "close"],
    },
    "agent.executors.fleet": {"Fleet": ["assign", "discard", "sweep"]},
    "agent.executors.remote": {"Remote": ["connection", "call", "ask", "follow"]},
    "agent.executors.ssh": {"SshExecutor": ["run", "_put", "_begin"]},
    "agent.actions.upload": {"Uploads": ["get"]},
    "agent.executors.logs": {"LogFile": ["write", "close"]},
    "agent.results.publish": {"Publisher": ["publish"]},
    "agent.worker.delivery": {"Deliveries": ["send"]},
    "agent.worker.feed": {"Feed": ["leave"]},
    "agent.worker.places": {"Directories": ["remove"]},
    "agent.worker.performer": {"Performer": ["discard"], "AttemptContext": ["workspace", "control"]},
    "agent.worker.pool": {"Pool": ["start"]},
    "agent.worker.wiring": {"Worker": ["recover"]},
    "agent.worker.process": {"": ["_mark"]},
}
HOOK_CALLS = {
    "agent.state.database": {"Database": ["_finish"]},
    "agent.state.pushes": {"Pushes": ["record", "close", "confirm"]},
    "agent.state.queue": {"Queue": ["enqueue"]},
    "agent.worker.intake": {"Intake": ["record", "take"]},
    "agent.worker.wake": {"": ["ring"]},
}
AUDITED = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.posix_spawn", "subprocess.Popen"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Points:
    """Counts what is passed; the process ends at the chosen one."""

    def __init__(self, chosen: str, trace: str, repository: str, prefix: str = "") -> None:
        self._chosen = chosen
        self._prefix = prefix
        self._trace = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if trace else -1
        self._repository = repository
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def count(self, what: str) -> int:
        with self._lock:
            self._counts[what] += 1
            return self._counts[what]

    def passed(self, what: str, number: int, side: str) -> None:
        point = f"{self._prefix}{what} {number} {side}"
        if self._trace >= 0:
            os.write(self._trace, f"{point}\n".encode())
        if point == self._chosen:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()

    def wrapped(self, what: str, call: Callable) -> Callable:
        def counted(*args, **more):
            number = self.count(what)
            self.passed(what, number, "before")
            result = call(*args, **more)
            self.passed(what, number, "after")
            return result

        return counted

    def audit(self, event: str, arguments: tuple) -> None:
        if event in AUDITED and self._is_ours(event, arguments):
            self.passed(event, self.count(event), "before")

    def _is_ours(self, event: str, arguments: tuple) -> bool:
        if event in {"os.posix_spawn", "subprocess.Popen"}:
            return True
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITES):
            return False
        return isinstance(arguments[0], str | Path) and str(arguments[0]).startswith(self._repository)


def targets(calls: dict[str, dict[str, list[str]]]) -> Iterator[tuple[object, str, str]]:
    """What is wrapped: where it is, its attribute, and how it is called in the table; of what is not there, nothing."""
    for module, classes in calls.items():
        loaded = importlib.import_module(module)
        for name, methods in classes.items():
            owner = getattr(loaded, name) if name else loaded
            for call in methods:
                if hasattr(owner, call):
                    yield owner, call, f"{name or module.rpartition('.')[2]}.{call}"


def share(directory: str) -> None:
    """Let containers see a directory of this machine, so that their scripts can tell outside that they ran."""
    from agent.executors import container

    mounts = container._mounts
    container._mounts = lambda job: [*mounts(job), container._bind(Path(directory), "/share")]


def shift(seconds: float) -> None:
    """Another time for the worker, as if somebody had set the clock of the machine."""
    from agent.worker import wiring

    usual = wiring.clock
    wiring.clock = lambda: usual() + timedelta(seconds=seconds)
    importlib.import_module("agent.worker.process").clock = wiring.clock


def hurry(seconds: float) -> None:
    """Less patience with pushes that nobody confirmed, and with faults of the database and the disk."""
    from agent.worker import intake, loop, wiring

    intake.PATIENCE = wiring.PATIENCE = loop.RETRY = timedelta(seconds=seconds)
    wiring.open_database = partial(wiring.open_database, timeout=seconds)


def count(points: Points, calls: dict[str, dict[str, list[str]]]) -> None:
    """From now on the points are counted."""
    for owner, call, what in list(targets(calls)):
        setattr(owner, call, points.wrapped(what, getattr(owner, call)))
    sys.addaudithook(points.audit)


def main() -> None:
    """See the module."""
    gc.disable()  # as agent.worker does
    repository = sys.argv[-1]
    points = Points(os.environ.pop("CRASH_AT", ""), os.environ.pop("CRASH_TRACE", ""), repository)
    if directory := os.environ.pop("CRASH_SHARE", ""):
        share(directory)
    if seconds := os.environ.pop("CRASH_SHIFT", ""):
        shift(float(seconds))
    if seconds := os.environ.pop("CRASH_PATIENCE", ""):
        hurry(float(seconds))
    count(points, CALLS)
    from agent.worker.process import main as work

    code = work([repository])
    points.passed("exit", 1, "before")
    os._exit(code)  # as the interpreter's own end may meet threads that a counted call holds up


def hook() -> None:
    """See the module; the arguments are those that a shim gives its interpreter."""
    at = sys.argv.index("-c", 1)
    code, sys.argv = sys.argv[at + 1], ["-c", *sys.argv[at + 2 :]]
    prefix = "post:" if "post_receive" in code else "pre:"
    points = Points(os.environ.get("CRASH_HOOK_AT", ""), os.environ.get("CRASH_HOOK_TRACE", ""), str(Path.cwd()), prefix)
    count(points, HOOK_CALLS)
    exec(code, {})
