"""Chooses the concrete classes of a worker: the one place that knows them all."""

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from agent.artifacts.cache import CacheStore
from agent.artifacts.opening import Opening, open_store
from agent.aws.session import Sessions
from agent.config import Config
from agent.errors import ConfigError, EnvironmentFault
from agent.executors.base import Executor
from agent.git.checkout import Checkouts
from agent.git.command import Git, clean_environment
from agent.git.notes import Notes
from agent.log import Log
from agent.model.ids import ExecutionId, execution_id
from agent.model.notice import Notice
from agent.results.audit import Standing
from agent.results.publish import Publisher
from agent.settings import Notify
from agent.state.database import Database, open_database
from agent.state.journal import Journal
from agent.state.marks import Marks
from agent.state.outbox import Outbox
from agent.state.passes import Passes
from agent.state.policies import Policies
from agent.state.pushes import CONFIRMED, Pushes
from agent.state.queue import Queue
from agent.state.requests import Requests
from agent.state.transitions import Transitions
from agent.worker import auditing, keys, signing
from agent.worker.children import Neighbours
from agent.worker.configured import layers_of
from agent.worker.delivery import Deliveries
from agent.worker.executors import Executors, Maker
from agent.worker.feed import Feed
from agent.worker.intake import PATIENCE, Intake
from agent.worker.lookup import Lookup
from agent.worker.loop import Loop
from agent.worker.machine import Places
from agent.worker.messages import Published, Ring
from agent.worker.messengers import Messengers
from agent.worker.parts import Parts
from agent.worker.performer import Performer, Tools
from agent.worker.places import Directories
from agent.worker.planning import Planner
from agent.worker.pool import Pool
from agent.worker.publishing import Publishing, Snapshot
from agent.worker.recover import sweep
from agent.worker.requests import Asked
from agent.worker.rollbacks import Rollbacks
from agent.worker.rules import Rules
from agent.worker.sources import secrets_of
from agent.worker.terms import Book
from agent.worker.traffic import Traffic
from agent.worker.vault import Vault, root_of
from agent.workspaces.choose import choose

PLACES = Path("/run/git-pipeline/places")
_PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER", "LOGNAME")  # to local actions


def clock() -> datetime:
    """The agent's time."""
    return datetime.now(UTC)


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

    def __init__(self, directories: Directories, environment: Mapping[str, str], *, keeps_failed: bool = False) -> None:
        """Raises AgentError if the state cannot be read. A configuration that is broken lets nothing new start, and no more."""
        self._directories = directories
        self._log = Log(sys.stderr, clock)
        self._sessions = Sessions()
        self._database = database = open_database(str(directories.root / "state.db"))
        self._book = Book(
            layers_of(directories), Policies(database), lambda one: secrets_of(directories.named_from, one, environment)
        )
        self._config = config = self._settings()
        self._git = git = Git(str(directories.repository), clean_environment(environment))
        self._queue, self._journal, passes = Queue(database), Journal(database), Passes(database)
        intake = Intake(git, database, clock)
        pool = Pool(config.concurrency, lambda error: self._log.bug("a task in the background has failed", error))
        lookup = Lookup(git, self._queue, self._journal)
        feeds = lru_cache(maxsize=None)(lambda execution: Feed(directories.execution(execution)))
        deliveries = self._deliveries(environment, pool)
        self._tools = self._make_tools(environment, lookup, feeds, deliveries.send)
        performer = Performer(self._tools)
        planner = Planner(git, self._queue)
        rollbacks = Rollbacks(self._queue, passes, clock, new_id)
        transitions = Transitions(database)

        def take_in() -> None:
            intake.settle()
            deliveries.look()

        self.parts = Parts(
            directories=directories,
            queue=self._queue,
            transaction=database.transaction,
            journal=self._journal,
            passes=passes,
            planner=planner,
            policy=lambda: self._book.now().digest,
            traffic=Traffic(git, transitions, passes),
            rules=Rules(lookup, performer, pool, clock),
            rollbacks=rollbacks,
            performer=performer,
            pool=pool,
            publishing=Publishing(self._publisher(), self._published),
            deliveries=deliveries,
            intake=take_in,
            requests=self._requests(transitions, rollbacks).answer,
            has_news=lambda: bool(Requests(database).open() or any(push.state == CONFIRMED for push in Pushes(database).open())),
            next_look=lambda: _earliest(clock() + PATIENCE if intake.has_open() else None, deliveries.next_look()),
            release=self._tools.checkouts.release,
            feeds=feeds,
            log=self._log,
            clock=clock,
            linger=config.linger,
            keeps_failed=keeps_failed,
        )
        self.loop = Loop(self.parts)

    def recover(self) -> None:
        """After a worker that did not leave in peace: remove what belongs to no execution in flight, before anything starts."""
        active = frozenset(ExecutionId(row.id) for row in self._queue.open())
        sweep(self._tools, active, self._config, self._log)

    def _settings(self) -> Config:
        """What the worker itself goes by as long as it lives: how much at once, how long to linger."""
        try:
            return self._book.now().config
        except ConfigError as error:
            self._log.fault("the configuration is broken: nothing new starts until it is mended", error)
            return self._book.in_force().config

    def _requests(self, transitions: Transitions, rollbacks: Rollbacks) -> Asked:
        roles, renew = self._roles, self._book.renew
        return Asked(self._database, self._queue, transitions, rollbacks, clock, roles, new_id, self._journal, renew)

    def _make_tools(
        self, environment: Mapping[str, str], lookup: Lookup, feeds: Callable[[str], Feed], send: Callable[[Notify, Notice], None]
    ) -> Tools:
        directories = self._directories
        return Tools(
            directories=directories,
            executors=Executors(self._executors(environment)),
            checkouts=Checkouts(str(directories.repository), directories.checkouts),
            workspaces=choose(directories.workspaces),
            artifacts=open_store(Opening(directories.artifacts, self._config.artifacts, self._sessions)),
            caches=CacheStore(directories.caches, clock),
            terms=self._book.of,
            sessions=self._sessions,
            vault=Vault(root_of(environment, os.getuid(), identity(self._database))),
            machine=Places(PLACES, self._config.machine_concurrency),
            lookup=lookup,
            send=send,
            neighbours=Neighbours(directories.repository, self._database, sys.executable, environment, clock, new_id),
            feeds=feeds,
            log=self._log,
            clock=clock,
        )

    def _roles(self) -> Mapping[str, Collection[str]]:
        """As the list of signers that the record will name has them: read anew where a byte of the configuration has changed."""
        return signing.in_force(self._database, str(self._directories.root)).roles

    def _executors(self, environment: Mapping[str, str]) -> dict[str, Maker]:
        name = identity(self._database)
        passed_on = {key: environment[key] for key in _PASSED_ON if key in environment}

        def docker(config: Config) -> Executor:
            from agent.executors.docker import DockerExecutor

            return DockerExecutor(name, config.docker, clock, cores=os.cpu_count() or 2)

        def local(_: Config) -> Executor:
            from agent.executors.local import LocalExecutor

            return LocalExecutor(name, passed_on, clock)

        def ssh(config: Config) -> Executor:
            from agent.worker.inventory import fleet_of

            return fleet_of(self._directories, config, environment, name)

        return {
            "docker": Maker(docker, frozenset({"docker"})),
            "local": Maker(local),
            "ssh": Maker(ssh, frozenset({"hosts", "secrets"}), needs="hosts"),
        }

    def _deliveries(self, environment: Mapping[str, str], pool: Pool) -> Deliveries:
        passed_on = {key: environment[key] for key in _PASSED_ON if key in environment}
        messengers = Messengers(self._book.in_force, self._sessions, passed_on)
        return Deliveries(Outbox(self._database), messengers, pool, self._ring, self._log, clock)

    def _ring(self) -> None:
        self.loop.post(Ring())

    def _publisher(self) -> Callable[[Snapshot], None]:
        database, key = self._database, keys.load(self._directories.root)
        notes = Notes(self._directories.repository, sign=key.sign_commit)
        publisher = Publisher(
            notes,
            lambda execution: self._book.of(execution).config.logs.note,
            time.monotonic,
            auditing.chain(key, Marks(database), notes),
            self._standing,
        )

        def publish(snapshot: Snapshot) -> None:
            logs = self._directories.logs(snapshot.execution.id)
            publisher.publish(snapshot.execution, snapshot.plan, snapshot.state, logs, clock())

        return publish

    def _standing(self, execution: ExecutionId) -> Standing:
        home, own = str(self._directories.root), self._book.of(execution)
        signers = auditing.signers(signing.policy_of(own.config, home))
        return Standing(own.digest, signers, auditing.signers(signing.in_force(self._database, home)))

    def _published(self, snapshot: Snapshot, fault: EnvironmentFault | None) -> None:
        self.loop.post(Published(execution=snapshot.execution.id, seq=snapshot.state.seq, fault=fault))


def _earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time), default=None)
