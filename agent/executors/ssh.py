"""Jobs on one host over SSH, beside a supervisor (supervisor.py) that needs neither us nor the connection.

What is kept here: `started` in the control directory, from the moment on that the host may have been told to start. With it and
without a trace on the host the job is lost; without it nothing has run.
"""

import math
import re
import shlex
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from agent.errors import EnvironmentFault
from agent.executors import supervisor
from agent.executors.base import SECRETS_ENV, Ending, Job, LogSink, Places
from agent.executors.container import shell
from agent.executors.follow import with_timings
from agent.executors.payload import chunks, pack, workspace_payload
from agent.executors.remote import FIRST, LONGEST, Remote
from agent.executors.route import Route
from agent.executors.sshclient import Unreachable
from agent.executors.supervisor import State, parse
from agent.executors.watch import Watch, private_file
from agent.model.outcome import Reason

STARTED = "started"
POLL = 0.1  # seconds until a stop is noticed
FOLLOW = 20  # seconds of one command that follows; also how soon a silent host is noticed, and half a minute
PATIENCE = 120.0  # seconds that a host may be away while its job runs
LAST_PATIENCE = 15.0  # the same for one that is to be stopped
SLACK = 5.0  # seconds after the deadline at which the host itself ends the job, if nobody else does
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READONLY = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})  # where `sh` is bash, which ends if told


class SshExecutor:
    """Runs jobs of one repository on one host."""

    def __init__(self, repository: str, route: Route, now: Callable[[], datetime], *, patience: float = PATIENCE) -> None:
        assert repository, "an empty repository identity would make every job ours"
        self._owner = sha256(repository.encode()).hexdigest()[:20]
        self.remote = Remote(route)
        self._now = now
        self._patience = patience
        self._staged: set[str] = set()

    def place(self, job: Job) -> Places:
        """See Executor. Raises EnvironmentFault if the host cannot be asked."""
        home = self.remote.home
        top = f"{home.root}/jobs/{job.id}"
        secrets = f"{home.memory or home.root + '/secrets'}/{job.id}" if job.secrets else ""
        return Places(workspace=f"{top}/workspace", control=f"{top}/control", secrets=secrets)

    def prepare(self, job: Job) -> None:
        """Connect."""
        with suppress(EnvironmentFault):  # the job itself will say it
            self.remote.open()

    def stage(self, job: Job) -> None:
        """Bring there what a job needs, which its `run` then does not do any more. Raises EnvironmentFault."""
        if not (job.control / STARTED).exists():
            self._put(job, None)
            self._staged.add(job.id)

    def run(self, job: Job, log: LogSink, stop: Event, *, offset: int = 0, payload: Path | None = None) -> Ending:
        """See Executor. `offset`: from which byte of the log on. `payload`: the workspace as a tar, if it is packed already."""
        if problem := _cannot(job):
            return Ending(reason=Reason.POLICY, message=problem)
        watch = Watch(job, stop, self._now())
        began = time.monotonic()
        ending = self._begin(job, watch, payload)
        if ending is None:
            left = max(1.0, (job.deadline - self._now()).total_seconds()) + SLACK
            followed = _Followed(self.remote, job, log, watch, self._patience, _Start(offset, *_times(left, job.grace)))
            ending = self._ended(job, watch, followed)
        return with_timings(ending, run=time.monotonic() - began)

    def discard(self, job_id: str) -> None:
        """See Executor. Raises EnvironmentFault if the host cannot be asked."""
        self.remote.ask("discard", job_id)

    def sweep(self, keep: frozenset[str]) -> tuple[str, ...]:
        """See Executor."""
        lines = "".join(f"{execution}\n" for execution in sorted(keep)).encode()
        answer = self.remote.ask("sweep", self._owner, stdin=lambda: [lines], timeout=300.0)
        found = (line.split() for line in answer.output.decode(errors="replace").splitlines())
        return tuple(f"job {words[0]} of execution {words[1]} on {self.remote.route.host}" for words in found if len(words) == 2)

    def close(self) -> None:
        """Hang up."""
        self.remote.close()

    def _begin(self, job: Job, watch: Watch, payload: Path | None) -> Ending | None:
        """Start it unless it was; None if there is something to follow."""
        resumed = (job.control / STARTED).exists()
        state = self._state(job, watch) if resumed else State("NONE")
        if state is None:
            return _lost(f"{self.remote.route.place} cannot be reached")
        if resumed and state.word == "NONE":
            return _lost("there is no trace of it on the host any more")
        if resumed and state.word != "STAGED":
            return None
        if ending := watch.ending():
            return ending
        if not resumed:
            if job.id not in self._staged:
                self._put(job, payload)
            self._staged.discard(job.id)
            if ending := watch.ending():
                return ending
            private_file(job.control / STARTED, self.remote.route.place.encode())
        return None

    def _put(self, job: Job, payload: Path | None) -> None:
        workspace = payload or workspace_payload(job.workspace, job.control)
        places = self.place(job)
        ours = pack(_files(job, places, self._owner))
        self.remote.ask("put", job.id, stdin=lambda: chain(chunks(workspace), (ours,)), timeout=120.0)
        if job.secrets:
            secrets = pack({path.name: (path.read_bytes(), 0o600) for path in job.secrets.iterdir() if path.is_file()})
            self.remote.ask("secrets", job.id, places.secrets, stdin=lambda: [secrets])

    def _state(self, job: Job, watch: Watch) -> State | None:
        try:
            return parse(self.remote.insist(lambda: _patience(watch, self._patience), "state", job.id).output)
        except EnvironmentFault:
            return None

    def _ended(self, job: Job, watch: Watch, followed: "_Followed") -> Ending:
        state = followed.to_the_end()
        if state is None:
            return _lost(f"{followed.fault}; it may still run there")
        if state.word != "EXIT":
            self._clear_up(job)
        if watch.asked:
            return watch.ending() or Ending()
        if state.word == "NONE":
            return _lost("there is no trace of it on the host any more")
        if state.word != "EXIT":
            return _lost("its processes are gone without a word: was the host restarted?")
        if state.is_late:
            return Ending(reason=Reason.TIMEOUT, message="took longer than its timeout allows and was ended on the host")
        private_file(job.control / supervisor.OUTPUT, state.output)
        return Ending(exit_code=state.code)

    def _clear_up(self, job: Job) -> None:
        """Of a job without its supervisor nothing may go on."""
        with suppress(EnvironmentFault):  # `discard` does it again
            self.remote.ask("kill", job.id)


class _Start(NamedTuple):
    """From which byte of the log on, and in how many seconds the host itself ends the job, with how much grace."""

    offset: int
    seconds: str
    grace: str


class _Followed:
    """Starts a job unless it was, and hands on its log in a thread, over as many connections as it takes, while it is watched."""

    def __init__(self, remote: Remote, job: Job, log: LogSink, watch: Watch, patience: float, start: _Start) -> None:
        self.fault = ""
        self._remote = remote
        self._job = job
        self._log = log
        self._watch = watch
        self._patience = patience
        self._start = start
        self._offset = start.offset
        self._state: State | None = None
        self._bug: BaseException | None = None
        self._thread = Thread(target=self._pump, name=f"follow {job.id}", daemon=True)

    def to_the_end(self) -> State | None:
        """The last state; None if the host has not answered for too long, or not as it should: `fault` says which."""
        self._thread.start()
        self._watch.until(self._is_over, self._send, POLL)
        if self._bug:
            raise self._bug
        return self._state

    def _is_over(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _send(self, name: str) -> None:
        if name == "TERM":
            self._remote.ask("end", self._job.id, _times(0, self._job.grace)[1])
        else:
            self._remote.ask("kill", self._job.id)

    def _take(self, data: bytes) -> None:
        self._log.write(data)
        self._offset += len(data)

    def _pump(self) -> None:
        heard, pause = time.monotonic(), FIRST
        while True:
            before = self._offset
            try:
                words = ("go", self._job.id, str(self._offset), str(FOLLOW), self._start.seconds, self._start.grace)
                state = parse(self._remote.follow(words, FOLLOW, self._take))
                heard, pause = time.monotonic(), FIRST
                if state.word != "RUN" and self._offset >= state.size:
                    self._state = state
                    return
            except Unreachable as fault:
                if self._offset > before:
                    heard, pause = time.monotonic(), FIRST
                if time.monotonic() - heard >= _patience(self._watch, self._patience):
                    self.fault = fault.message
                    return
                time.sleep(pause)
                pause = min(pause * 2, LONGEST)
            except EnvironmentFault as fault:
                self.fault = fault.message
                return
            except BaseException as bug:
                self._bug = bug
                return


def _patience(watch: Watch, most: float) -> float:
    return min(most, LAST_PATIENCE) if watch.asked else most


def _cannot(job: Job) -> str:
    if job.services:
        return "services need containers: hosts have none"
    if job.user:
        return "`user` needs a container: on hosts a script runs as the user of the host group"
    return ""


def _lost(why: str) -> Ending:
    return Ending(reason=Reason.LOST, message=f"nobody knows how it would have ended: {why}")


def _times(seconds: float, grace: float) -> tuple[str, str]:
    return str(math.ceil(seconds)), str(max(1, math.ceil(grace)))


def _files(job: Job, places: Places, owner: str) -> dict[str, tuple[bytes, int]]:
    """What the supervisor reads, and the empty output file."""
    workdir = f"{places.workspace}/{job.workdir}" if job.workdir else places.workspace
    script = places.control.removesuffix("control") + "run/script"
    command = f"cd {shlex.quote(workdir)} || exit 1\nexec {shlex.join([*shell(job.shell), script])}\n"
    return {
        "run/script": (job.script.encode(), 0o700),
        "run/environment": (_environment(job.env, places.secrets), 0o600),
        "run/command": (command.encode(), 0o600),
        f"run/{supervisor.OWNED}": (f"{owner} {job.execution}\n".encode(), 0o600),
        f"control/{supervisor.OUTPUT}": (b"", 0o600),
    }


def _environment(variables: Mapping[str, str], secrets: str) -> bytes:
    """All variables of a job; those of its secrets stand in a file of their own, which goes with them."""
    given = {name: value for name, value in variables.items() if _NAME.fullmatch(name) and "\0" not in value}
    lines = [_assigned(name, shlex.quote(value)) for name, value in given.items()]
    if secrets:
        exported = shlex.quote(f"{secrets}/{SECRETS_ENV}")
        lines.append(f"[ ! -e {exported} ] || . {exported}")
    return "".join(f"{line}\n" for line in lines).encode()


def _assigned(name: str, word: str) -> str:
    """What a shell cannot be told it does not get."""
    return f"({name}={word}) 2>/dev/null && {name}={word}" if name in _READONLY else f"{name}={word}"
