"""A pipeline on somebody's own machine, before it is pushed: a repository of its own, and in it the worker that servers have.

The directory is kept between rehearsals for its checkouts and caches; nothing in it is of value.
"""

import fcntl
import getpass
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import msgspec

from agent.errors import RefusedError
from agent.git.command import Git, clean_environment
from agent.git.snapshot import borrow
from agent.model.control import Demand, Stop, Wish
from agent.model.execution import Execution, TriggerType
from agent.model.ids import Oid, PipelineName, RefName
from agent.model.plan import Plan, Work
from agent.results import recording
from agent.results.record import Record
from agent.state.database import Database, open_database
from agent.state.journal import Journal
from agent.state.queue import Queue, Row
from agent.state.requests import Requests
from agent.worker.bell import Bell
from agent.worker.messages import Ring
from agent.worker.places import Directories
from agent.worker.running import Running
from agent.worker.wiring import Worker, clock, new_id


class Rehearsal:
    """One repository's rehearsals. Raises AgentError if it cannot be made."""

    def __init__(self, home: Path, source: Git, environment: Mapping[str, str], config: Path | None = None) -> None:
        """`config`: an operator's file."""
        self.repository = home
        self.git = Git(home, clean_environment(environment))
        self.directories = Directories(home, config)
        self._environment = environment
        borrow(home, source)
        for directory in (
            self.directories.root,
            self.directories.executions,
            self.directories.artifacts,
            self.directories.caches,
        ):
            directory.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def alone(self, config: str, *, keeps_failed: bool) -> Iterator["Stage"]:
        """Where one execution can be run; raises RefusedError if another rehearsal goes on.

        `config`: what stands over the operator's file. `keeps_failed`: what failed attempts leave stays until
        `Stage.discard`.
        """
        file = os.open(self.directories.root / "worker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(file)
            raise RefusedError(
                "a pipeline of this clone runs here already", hint="wait for its end, or stop it with Ctrl-C"
            ) from error
        self._configure(config)
        database = open_database(str(self.directories.root / "state.db"))
        try:
            yield Stage(self, database, self._environment, keeps_failed=keeps_failed)
        finally:
            database.close()
            os.close(file)

    def _configure(self, text: str) -> None:
        path = self.directories.root / "config.toml"
        path.touch(mode=0o600)
        path.write_text(text)


class Failed(NamedTuple):
    """An attempt that failed, and where its files are."""

    attempt: str
    place: str
    work: Work
    workspace: Path


class Stage:
    """Runs executions, one after the other."""

    def __init__(self, of: Rehearsal, database: Database, environment: Mapping[str, str], *, keeps_failed: bool) -> None:
        self.home = str(of.directories.root)
        self._directories = of.directories
        self._database = database
        self._queue = Queue(database)
        left = self._queue.open()
        for row in left:  # somebody killed us: what was rehearsed is never gone on with
            self._queue.set_status(row.id, "Stopped", ended_at=clock().isoformat())
            self._queue.mark_published(row.id, row.last_seq)
        self._journal = Journal(database)
        self.worker = Worker(of.directories, environment, keeps_failed=keeps_failed)
        if left:
            self.worker.recover()

    def queue(self, plan: Plan, commit: Oid, ref: RefName, variables: Mapping[str, str]) -> Row:
        """An execution with this very plan."""
        made = Execution(
            id=new_id(), pipeline=PipelineName(plan.pipeline), number=0, commit=commit, ref=ref, trigger=TriggerType.MANUAL,
            created_at=clock(), actor=getpass.getuser(), variables=dict(variables),
        )  # fmt: skip
        fields = msgspec.to_builtins(made)
        with self._database.transaction():
            identity, _ = self._queue.enqueue(fields)
            self._queue.set_plan(identity, msgspec.json.encode(plan))
        return self.row(identity)

    def row(self, execution: str) -> Row:
        """The execution as it stands."""
        found = self._queue.get(execution)
        assert found, execution
        return found

    def play(self, watch: Callable[[], object]) -> None:
        """Work until nothing is left to do, while this thread watches. Raises what the work raised."""
        faults: list[BaseException] = []
        bell = Bell(self.home)
        bell.listen(lambda: self.worker.loop.post(Ring()))
        thread = Thread(target=self._work, args=(faults,), name="worker")
        thread.start()
        try:
            watch()
        finally:
            thread.join()
            bell.close()
        if faults:
            raise faults[0]

    def stop(self, row: Row) -> None:
        """End it, and what runs of it."""
        self.ask(Stop(pipeline=PipelineName(row.pipeline), number=row.number, abandon=True))

    def ask(self, demand: Demand, reason: str = "") -> None:
        """Ask for something in the name of the user; it is done while it plays."""
        wish = Wish(demand=demand, by=getpass.getuser(), reason=reason)
        kind = str(demand.__struct_config__.tag)
        Requests(self._database).add(clock().isoformat(), kind, msgspec.json.encode(wish).decode())
        self.worker.loop.post(Ring())

    def record(self, row: Row) -> Record:
        """How the execution stands, as it would be told in notes."""
        running = self._running(row)
        return recording.make(running.execution, running.plan, running.state, clock())

    def failed(self, row: Row) -> tuple["Failed", ...]:
        """The attempts that failed and are kept."""
        running = self._running(row)
        kept = self.worker.parts.performer.kept(running.execution.id)
        return tuple(
            Failed(attempt, f"{stage}/{action}", running.action(stage, action).work, self._workspace(attempt))
            for stage, at in running.state.stages.items()
            for action, found in at.actions.items()
            if (attempt := running.attempt_id(stage, action, found.attempt)) in kept
        )

    def discard(self, row: Row, failed: "Failed") -> None:
        """Remove what one of them left."""
        self.worker.parts.performer.discard(self._running(row).execution, failed.attempt, failed.work, has_layers=True)

    def _running(self, row: Row) -> Running:
        plan = self._queue.plan(row.id)
        assert plan
        return Running(msgspec.json.decode(row.body, type=Execution), msgspec.json.decode(plan, type=Plan), self._journal)

    def _workspace(self, attempt: str) -> Path:
        directory = self._directories.workspaces / attempt
        return directory / "merged" if (directory / "merged").is_dir() else directory

    def _work(self, faults: list[BaseException]) -> None:
        try:
            self.worker.loop.run()
        except BaseException as fault:
            faults.append(fault)
