"""Chooses the concrete classes of a worker: the one place that knows them all."""

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from agent.artifacts.cache import CacheStore
from agent.artifacts.local import LocalStore
from agent.config import Config, parse
from agent.errors import EnvironmentFault
from agent.executors.base import Executor
from agent.git.checkout import Checkouts
from agent.git.command import Git, clean_environment
from agent.git.notes import Notes
from agent.log import Log
from agent.model.ids import ExecutionId, execution_id
from agent.results.audit import Standing
from agent.results.publish import Publisher
from agent.state.database import Database, open_database
from agent.state.journal import Journal
from agent.state.marks import Marks
from agent.state.passes import Passes
from agent.state.pushes import CONFIRMED, Pushes
from agent.state.queue import Queue
from agent.state.requests import Requests
from agent.state.transitions import Transitions
from agent.worker import auditing, keys, signing
from agent.worker.executors import Executors
from agent.worker.feed import Feed
from agent.worker.intake import PATIENCE, Intake
from agent.worker.lookup import Lookup
from agent.worker.loop import Loop
from agent.worker.machine import Places
from agent.worker.messages import Published
from agent.worker.parts import Parts
from agent.worker.performer import Performer, Tools
from agent.worker.permit import Permit
from agent.worker.places import Directories
from agent.worker.planning import Planner
from agent.worker.pool import Pool
from agent.worker.publishing import Publishing, Snapshot
from agent.worker.recover import sweep
from agent.worker.requests import Asked
from agent.worker.rollbacks import Rollbacks
from agent.worker.rules import Rules
from agent.worker.sources import secrets_of
from agent.worker.traffic import Traffic
from agent.worker.vault import Vault, root_of
from agent.workspaces.choose import choose

SYSTEM_CONFIG = Path("/etc/git-pipeline/config.toml")
PLACES = Path("/run/git-pipeline/places")
_PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER", "LOGNAME")  # to local actions


def clock() -> datetime:
    """The agent's time."""
    return datetime.now(UTC)


def load_config(directories: Directories) -> Config:
    """The operator's configuration. Raises ConfigError."""
    layers = (SYSTEM_CONFIG, directories.root / "config.toml")
    return parse({str(path): path.read_bytes() for path in layers if path.is_file()})


def identity(database: Database) -> str:
    """What marks containers and processes as this repository's: stays the same when the directory is moved."""
    marks = Marks(database)
    if not marks.get("identity"):
        marks.put("identity", os.urandom(8).hex())
    return marks.get("identity")


def new_id() -> ExecutionId:
    """A fresh execution id."""
    return execution_id(int(time.time() * 1000), os.urandom(10))


class Worker:
    """One repository's worker: the loop with everything it needs."""

    def __init__(self, repository: Path, environment: Mapping[str, str]) -> None:
        """Raises AgentError if the configuration or the state cannot be read."""
        self._directories = directories = Directories(repository)
        self._config = config = load_config(directories)
        self._log = Log(sys.stderr, clock)
        self._database = database = open_database(str(directories.root / "state.db"))
        self._git = git = Git(str(repository), clean_environment(environment))
        self._queue, self._journal, passes = Queue(database), Journal(database), Passes(database)
        intake = Intake(git, database, clock)
        pool = Pool(config.concurrency, lambda error: self._log.bug("a task in the background has failed", error))
        lookup = Lookup(git, self._queue, self._journal)
        feeds = lru_cache(maxsize=None)(lambda execution: Feed(directories.execution(execution)))
        self._tools = self._make_tools(environment, lookup, feeds)
        performer = Performer(self._tools)
        planner = Planner(git, self._queue)
        rollbacks = Rollbacks(self._queue, passes, clock, new_id)
        transitions = Transitions(database)
        self.parts = Parts(
            directories=directories,
            queue=self._queue,
            journal=self._journal,
            passes=passes,
            planner=planner,
            traffic=Traffic(git, transitions, passes),
            rules=Rules(lookup, performer, pool, clock),
            rollbacks=rollbacks,
            performer=performer,
            pool=pool,
            publishing=Publishing(self._publisher(), self._published),
            intake=intake.settle,
            requests=Asked(database, self._queue, transitions, rollbacks, clock, self._roles, new_id, self._journal).answer,
            has_news=lambda: bool(Requests(database).open() or any(push.state == CONFIRMED for push in Pushes(database).open())),
            next_look=lambda: clock() + PATIENCE if intake.has_open() else None,
            release=self._tools.checkouts.release,
            feeds=feeds,
            log=self._log,
            clock=clock,
            linger=config.linger,
        )
        self.loop = Loop(self.parts)

    def recover(self) -> None:
        """After a worker that did not leave in peace: remove what belongs to no execution in flight, before anything starts."""
        sweep(self._tools, frozenset(row.id for row in self._queue.open()), self._log)

    def _make_tools(self, environment: Mapping[str, str], lookup: Lookup, feeds: Callable[[str], Feed]) -> Tools:
        directories, config = self._directories, self._config
        return Tools(
            directories=directories,
            executors=Executors(self._executors(environment)),
            checkouts=Checkouts(str(directories.repository), directories.checkouts),
            workspaces=choose(directories.workspaces),
            artifacts=LocalStore(directories.artifacts),
            caches=CacheStore(directories.caches, clock),
            permit=Permit(config),
            vault=self._vault(environment),
            machine=Places(PLACES, config.machine_concurrency),
            lookup=lookup,
            feeds=feeds,
            log=self._log,
            clock=clock,
            log_cap=config.logs.disk,
        )

    def _roles(self) -> Mapping[str, Collection[str]]:
        """As the list of signers that the record will name has them: read anew where a byte of the configuration has changed."""
        return signing.policy(self._database, str(self._directories.root)).roles

    def _vault(self, environment: Mapping[str, str]) -> Vault:
        root = root_of(environment, os.getuid(), identity(self._database))
        return Vault(root, secrets_of(self._directories.root, self._config, environment))

    def _executors(self, environment: Mapping[str, str]) -> dict[str, Callable[[], Executor]]:
        name = identity(self._database)
        passed_on = {key: environment[key] for key in _PASSED_ON if key in environment}

        def docker() -> Executor:
            from agent.executors.docker import DockerExecutor

            return DockerExecutor(name, self._config.docker, clock, cores=os.cpu_count() or 2)

        def local() -> Executor:
            from agent.executors.local import LocalExecutor

            return LocalExecutor(name, passed_on, clock)

        def ssh() -> Executor:
            from agent.worker.inventory import fleet_of

            return fleet_of(self._directories, self._config, environment, name)

        return {"docker": docker, "local": local} | ({"ssh": ssh} if self._config.hosts else {})

    def _publisher(self) -> Callable[[Snapshot], None]:
        home, database = self._directories.root, self._database
        key = keys.load(home)
        notes = Notes(self._directories.repository, sign=key.sign_commit)
        policy = auditing.policy_digest(self._config)
        publisher = Publisher(
            notes,
            self._config.logs.note,
            time.monotonic,
            auditing.chain(key, Marks(database), notes),
            lambda: Standing(policy, auditing.signers(signing.policy(database, str(home)))),
        )

        def publish(snapshot: Snapshot) -> None:
            logs = self._directories.logs(snapshot.execution.id)
            publisher.publish(snapshot.execution, snapshot.plan, snapshot.state, logs, clock())

        return publish

    def _published(self, snapshot: Snapshot, fault: EnvironmentFault | None) -> None:
        self.loop.post(Published(execution=snapshot.execution.id, seq=snapshot.state.seq, fault=fault))
