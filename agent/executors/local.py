"""Jobs as processes of the agent's own machine, under a tiny supervisor that outlives the worker.

The supervisor, a shell in a session of its own, claims the job by creating `started` (its line of /proc/<pid>/stat), sends the
output to a file and writes the exit code when the script has ended. Whoever comes next finds it, or its status, or neither.
Its own standard error is nobody's: a shell tells there which signal ended its child.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock

from agent.errors import EnvironmentFault
from agent.executors import processes
from agent.executors.base import SECRETS_ENV, Ending, Job, LogSink, Places
from agent.executors.child import spawn
from agent.executors.container import shell
from agent.executors.follow import with_timings
from agent.executors.processes import MARK, OWNER, Identity
from agent.executors.watch import Watch, private_file
from agent.model.outcome import Reason

STARTED, STATUS, OUTPUT, SCRIPT = "started", "status", "log", "script"
CHUNK = 256 * 1024
POLL = 0.05  # seconds between two looks at the output
CLAIM = 2.0  # seconds for a claim to be written once it is made
SURE = 2.0  # seconds of a run in which process numbers cannot have wrapped around

# Only builtins, so no fork but that of the script; `set -C` makes the claim exclusive; a trap, unlike ignoring, is not inherited.
# Its own variables have names that no job's can have, as a shell exports what it found exported.
SUPERVISOR = f"""trap : TERM INT HUP
PIPELINE_PLACE=$PIPELINE_CONTROL; unset PIPELINE_CONTROL
read -r PIPELINE_STAT </proc/$$/stat && read -r PIPELINE_BOOT </proc/sys/kernel/random/boot_id || exit 1
set -C
{{ echo "$PIPELINE_STAT $PIPELINE_BOOT" >"$PIPELINE_PLACE/started"; }} 2>/dev/null || exit 1
set +C
[ -z "${{PIPELINE_SECRETS-}}" ] || {{ set -a; . "$PIPELINE_SECRETS/{SECRETS_ENV}"; set +a; }}
if cd "$1" 2>"$PIPELINE_PLACE/log"; then
  shift
  "$@" "$PIPELINE_PLACE/script" >"$PIPELINE_PLACE/log" 2>&1 </dev/null
else false; fi
echo "exit $?" >"$PIPELINE_PLACE/status"
"""


class LocalExecutor:
    """Runs jobs of one repository. `environment`: what every job gets before its own variables; PATH and HOME at least."""

    def __init__(self, repository: str, environment: Mapping[str, str], now: Callable[[], datetime]) -> None:
        assert repository, "an empty repository identity would make every process ours"
        self._owner = sha256(repository.encode()).hexdigest()[:20]
        self._environment = dict(environment)
        self._now = now
        self._lock = Lock()
        self._ended: set[str] = set()

    def place(self, job: Job) -> Places:
        """See Executor."""
        return Places(workspace=str(job.workspace), control=str(job.control), secrets=str(job.secrets or ""))

    def prepare(self, job: Job) -> None:
        """Nothing: a process starts in a millisecond."""

    def run(self, job: Job, log: LogSink, stop: Event) -> Ending:
        """See Executor."""
        if problem := _cannot(job):
            return Ending(reason=Reason.POLICY, message=problem)
        watch = Watch(job, stop, self._now())
        child = 0
        if not os.path.lexists(job.control / STARTED):
            if ending := watch.ending():
                return ending
            child = self._start(job)
        began = time.monotonic()
        followed = _Followed(job, log, child)
        try:
            ending = followed.follow(watch)
        finally:
            followed.close()
        spent = time.monotonic() - began
        self._finish(job.id, followed.session, spent if child else SURE)
        return with_timings(ending, run=spent)

    def discard(self, job_id: str) -> None:
        """See Executor. Its files stand in the control directory, which is the caller's."""
        with self._lock:
            known = job_id in self._ended
            self._ended.discard(job_id)
        if not known:
            _kill_all(lambda: processes.marked(job_id))

    def sweep(self, keep: frozenset[str]) -> tuple[str, ...]:
        """See Executor."""
        assert self._owner
        removed = []
        for pid in processes.everyone():
            owner, _, execution = processes.environment(pid).get(OWNER, "").partition(" ")
            if owner == self._owner and execution not in keep and pid != os.getpid():
                processes.send([pid], signal.SIGKILL)
                removed.append(f"process {pid} of execution {execution}")
        return tuple(removed)

    def _start(self, job: Job) -> int:
        private_file(job.control / SCRIPT, job.script.encode(), 0o700)
        workdir = job.workspace / job.workdir
        environment = self._environment | job.env
        environment |= {MARK: job.id, OWNER: f"{self._owner} {job.execution}", "PIPELINE_CONTROL": str(job.control)}
        argv = ["/bin/sh", "-c", SUPERVISOR, "git-pipeline", str(workdir), *shell(job.shell)]
        try:
            return spawn(argv, environment)
        except OSError as error:
            raise EnvironmentFault(
                f"a process cannot be started: {error.strerror}", hint="look at `ulimit -u` and free memory"
            ) from error

    def _finish(self, job_id: str, session: int, seconds: float) -> None:
        """Nothing that the job started outlives it: whoever left its session still carries the mark."""
        above = session if seconds < SURE else 0
        _kill_all(lambda: processes.marked(job_id, above))
        with self._lock:
            self._ended.add(job_id)


class _Followed:
    """A supervisor that runs or ran, its output and its end. `child`: its process number if this process started it, else 0."""

    def __init__(self, job: Job, log: LogSink, child: int) -> None:
        self._job = job
        self._log = log
        self._child = child
        self._output = -1
        self._pidfd = -1
        self.session = child

    def follow(self, watch: Watch) -> Ending:
        """Hand on the output until the supervisor is gone; then say how the script ended."""
        self._open()
        watch.until(self._ended, self._send, POLL)
        self._copy()
        self._reap()
        code = _status(self._job.control)
        if watch.asked:
            return watch.ending() or Ending()
        if code is not None:
            return Ending(exit_code=code)
        if self._child and not os.path.lexists(self._job.control / STARTED):
            return Ending(reason=Reason.ENGINE, message="the supervisor could not claim the job: is the disk full?")
        if self._child and self._is_anothers():
            self.close()
            self._child = self.session = 0
            return self.follow(watch)
        return Ending(reason=Reason.LOST, message="nobody knows how it would have ended: its processes are gone without a word")

    def close(self) -> None:
        """Let go of the files."""
        for file in (self._output, self._pidfd):
            if file >= 0:
                os.close(file)
        self._output = self._pidfd = -1

    def _reap(self) -> None:
        """End what is left of the group while our zombie still guards its number, then let the zombie go."""
        if self._child:
            processes.send_group(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)

    def _is_anothers(self) -> bool:
        """True if the supervisor of a worker who is gone was just faster than ours."""
        identity = _claim(self._job.control)
        return identity is not None and identity.pid != self._child

    def _open(self) -> None:
        if self._child:
            self._pidfd = os.pidfd_open(self._child)
            return
        identity = _claim(self._job.control)
        if identity is None:
            return
        with suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(identity.pid)
        if identity.is_alive:  # asked after opening, so that the number cannot have passed on to another
            self.session = identity.pid

    def _ended(self, seconds: float) -> bool:
        if self._pidfd < 0 or not self.session:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        gone = bool(poll.poll(int(seconds * 1000)))
        self._copy()
        return gone

    def _send(self, name: str) -> None:
        found = {*processes.members(self.session), *processes.marked(self._job.id)}
        processes.send(sorted(found), signal.Signals[f"SIG{name}"])

    def _copy(self) -> None:
        """Hand on what was printed since the last time."""
        if self._output < 0:
            with suppress(OSError):
                self._output = os.open(self._job.control / OUTPUT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        while self._output >= 0 and (data := os.read(self._output, CHUNK)):
            self._log.write(data)


def _cannot(job: Job) -> str:
    if job.services:
        return "services need containers: `runner: local` has none"
    if job.user:
        return "`user` needs a container: with `runner: local` a script runs as the agent's user"
    return ""


def _claim(control: Path) -> Identity | None:
    """Who claimed the job. The file exists a moment before its line does."""
    end = time.monotonic() + CLAIM
    while time.monotonic() < end:
        text = (control / STARTED).read_text(errors="replace")
        if text.endswith("\n"):
            line, _, boot = text.strip().rpartition(" ")
            fields = processes.parsed(line)
            return Identity(int(fields[0]), f"{fields[21]} {boot}") if len(fields) > 21 else None
        time.sleep(0.005)
    return None


def _status(control: Path) -> int | None:
    """The exit code, once its whole line is there."""
    try:
        text = (control / STATUS).read_text(errors="replace")
    except OSError:
        return None
    word, _, code = text.partition(" ")
    return int(code) if word == "exit" and code.endswith("\n") and code.strip().isdigit() else None


def _kill_all(find: Callable[[], list[int]]) -> None:
    """Kill until nobody is found, as they may multiply while we look."""
    while found := find():
        processes.send(found, signal.SIGKILL)
        time.sleep(0.001)
