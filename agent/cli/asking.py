"""How the operator's verbs ask the worker of a repository on this machine: who asks, what is meant, and the answer."""

import os
import pwd
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from agent.cli.live import Server
from agent.cli.remote import client, discover
from agent.cli.source import resolve
from agent.definition.suggest import did_you_mean
from agent.errors import EnvironmentFault, RefusedError, UsageError
from agent.git import history
from agent.git.command import Git, clean_environment
from agent.git.tree import CommitTree
from agent.model.control import Demand, Wish
from agent.model.ids import NAME, PipelineName, StageName
from agent.model.plan import Plan
from agent.results.record import Record, StageRecord
from agent.state.database import Database, open_database
from agent.state.queue import Queue, Row
from agent.state.requests import Request, Requests
from agent.state.transitions import Transitions
from agent.worker import spawn, wake

PATIENCE = 30.0  # seconds for a worker to start and to answer, on a machine whose disk is busy
PAUSE = 0.02  # seconds between two looks for the answer
LAST_WORDS = 20  # lines at the end of the agent's log among which a reason is looked for
RECENT = 20  # executions whose plans say which stages there are


class Asker(NamedTuple):
    """Who asks, and why."""

    name: str
    reason: str = ""


def asker(by: str | None, reason: str = "") -> Asker:
    """The one named by --as, or the user: behind sudo the one who called it."""
    return Asker(by or os.environ.get("SUDO_USER") or _user(), reason)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def home(repo: str | None) -> Path:
    """`<repo>.git/pipeline` of the repository that is named, or around the current directory. Raises UsageError."""
    git_dir = discover(os.environ).git_dir if repo is None else _bare(repo)
    place = Path(git_dir) / "pipeline"
    if not (place / "state.db").is_file():
        hint = f"name the repository on the server{_naming()}" if repo is None else f"git pipeline install {git_dir}"
        raise UsageError(f"git-pipeline is not installed in {git_dir}", hint=hint)
    return place


def _naming() -> str:
    """How the verb that is being carried out is told which."""
    context = click.get_current_context(silent=True)
    if context is None or any("--repo" in one.opts for one in context.command.params):
        return " with --repo"
    return f": {context.command_path} REPO.git"


def _bare(repo: str) -> str:
    path = Path(repo).expanduser()
    if not (path / "objects").is_dir():
        raise UsageError(f"{repo} is not a bare git repository", hint="name the repository that people push to")
    return str(path.resolve())


def identified(place: Path, words: str) -> Record:
    """The execution that somebody means (cli/source.py). Raises UsageError with what could have been meant."""
    return resolve(Server(client(str(place.parent), os.environ), datetime.now(UTC)), words)


@contextmanager
def desk(repo: str | None) -> Iterator["Desk"]:
    """The desk of a repository; closed at the end. Raises UsageError or RefusedError if there is none that this user may use."""
    place = home(repo)
    refuse_unless_owner(place)
    database = open_database(str(place / "state.db"))
    try:
        yield Desk(Git(place.parent, clean_environment(os.environ)), place, database)
    finally:
        database.close()


def refuse_unless_owner(place: Path) -> None:
    """Files that another user (root too) would make there could not be used by the worker. Raises RefusedError."""
    owner = place.stat().st_uid
    if owner != os.getuid():
        raise RefusedError(
            f"{place} belongs to user {owner}, and this is user {os.getuid()}",
            hint=f"run it as the owner: sudo -u '#{owner}' git pipeline …",
        )


class Desk:
    """Where one repository's worker is asked."""

    def __init__(self, git: Git, home: Path, database: Database) -> None:
        self.git = git
        self.home = home
        self.database = database
        self.queue = Queue(database)
        self.log = home / "agent.log"

    @property
    def repository(self) -> Path:
        return self.home.parent

    def ask(self, demand: Demand, asker: Asker) -> int:
        """Ask the worker, started if need be, and wait for its yes; returns the id of the request.

        Raises RefusedError with the worker's reason, ConfigError if nothing could start, EnvironmentFault if none answers.
        """
        self.require_worker()
        wish = Wish(demand=demand, by=asker.name, reason=asker.reason)
        kind = str(demand.__struct_config__.tag)
        request = Requests(self.database).add(datetime.now(UTC).isoformat(), kind, msgspec.json.encode(wish).decode())
        answered = self._wait(request, self.wake())
        if answered.state != "done":
            reason, _, hint = answered.answer.partition("\nhint: ")
            raise RefusedError(reason, hint=hint)
        return request

    def require_worker(self) -> None:
        """Raises ConfigError if nobody works and the configuration would let nothing new start."""
        if not wake.is_heard(str(self.home)):
            from agent.worker.configured import load_config  # pydantic
            from agent.worker.places import Directories

            load_config(Directories(self.repository))

    def wake(self) -> int:
        """See that a worker looks; the process id of one that was started, 0 if one was there. Raises EnvironmentFault."""
        if wake.ring(str(self.home)):
            return 0
        return spawn.start(str(self.repository), sys.executable, os.environ, str(self.log))

    def _wait(self, request: int, worker: int) -> Request:
        requests = Requests(self.database)
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            found = requests.get(request)
            if found and found.state != "open":
                return found
            worker = self.still_lives(worker)
            if not worker and not wake.is_heard(str(self.home)):
                worker = self.wake()  # the one that heard us has died, or ended beside us
            time.sleep(PAUSE)
        raise EnvironmentFault(
            f"no worker has answered within {PATIENCE:.0f} seconds",
            hint=f"the request is kept and will be answered as soon as one can; its log is {self.log}",
        )

    def still_lives(self, worker: int) -> int:
        """The process of a worker that we started, 0 once it has ended in peace. Raises EnvironmentFault with its last words."""
        if not worker:
            return 0
        ended, status = os.waitpid(worker, os.WNOHANG)
        if not ended:
            return worker
        if status:
            raise EnvironmentFault(f"the worker does not run: {last_words(self.log)}", hint=f"its log is {self.log}")
        return 0

    def execution(self, words: str) -> tuple[Record, Row]:
        """The execution that somebody means (cli/source.py). Raises UsageError, or RefusedError if only its notes are left."""
        record = identified(self.home, words)
        row = self.queue.get(record.id)
        if row is None:
            raise RefusedError(
                f"{record.label} ended long ago, and only its notes are kept", hint=f"git pipeline start {record.pipeline}"
            )
        return record, row

    def queued(self, request: int) -> Row:
        """The execution that an answered request has queued."""
        return self.queue.of_origin(f"request:{request}:")[0]

    def stages(self) -> Mapping[PipelineName, tuple[StageName, ...]]:
        """The stages of each known pipeline: those of the default branch, of the last executions, and those that are closed."""
        found: dict[PipelineName, dict[StageName, None]] = {}
        for pipeline, stage in self._known():
            found.setdefault(pipeline, {})[stage] = None
        return {pipeline: tuple(names) for pipeline, names in found.items()}

    def _known(self) -> Iterator[tuple[PipelineName, StageName]]:
        from agent.definition.load import load  # YAML and pydantic, which most verbs can do without

        head = history.resolve(self.git, "HEAD")
        for pipeline in load(CommitTree(self.git, head)).pipelines if head else ():
            yield from ((PipelineName(pipeline.name), StageName(stage.name)) for stage in pipeline.stages)
        for row in self.queue.history(limit=RECENT):
            body = self.queue.plan(row.id)
            plan = msgspec.json.decode(body, type=Plan) if body else None
            yield from ((plan.pipeline, stage.name) for stage in plan.stages) if plan else ()
        for closed in Transitions(self.database).closed():
            yield PipelineName(closed.pipeline), StageName(closed.stage)

    def transition(self, pipeline: str, stage: str) -> tuple[PipelineName, StageName]:
        """The names of a stage that exists. Raises UsageError with what could have been meant."""
        return named(self.stages(), pipeline, stage)


def named(known: Mapping[PipelineName, tuple[StageName, ...]], pipeline: str, stage: str) -> tuple[PipelineName, StageName]:
    """The names of a stage, if it is known. Raises UsageError with what could have been meant."""
    if pipeline not in known:
        raise UsageError(f"there is no pipeline {_shown(pipeline)}", hint=did_you_mean(pipeline, known))
    names = known[PipelineName(pipeline)]
    if stage not in names:
        raise UsageError(f"pipeline {pipeline} has no stage {_shown(stage)}", hint=did_you_mean(stage, names))
    return PipelineName(pipeline), StageName(stage)


def stage_of(record: Record, words: str, fits: Callable[[StageRecord], bool], purpose: str) -> StageName:
    """The stage that somebody means; without words the only one that fits the purpose ("to retry").

    Raises UsageError with what could have been meant, RefusedError if none fits.
    """
    names = [stage.name for stage in record.stages]
    if words:
        if words not in names:
            raise UsageError(f"{record.label} has no stage {_shown(words)}", hint=did_you_mean(words, names, "its stages"))
        return StageName(words)
    fitting = [stage.name for stage in record.stages if fits(stage)]
    if len(fitting) > 1:
        raise UsageError(f"{record.label} has several stages {purpose}", hint=f"name one of {', '.join(fitting)}")
    if not fitting:
        told = ", ".join(f"{stage.name} {stage.status or 'has not run'}" for stage in record.stages)
        raise RefusedError(f"{record.label} has no stage {purpose}", hint=f"its stages: {told}" if told else "it has not begun")
    return fitting[0]


def _shown(name: str) -> str:
    return name if NAME.fullmatch(name) else repr(name)


def last_words(log: Path) -> str:
    """Why the worker ended, as its log tells it."""
    try:
        lines = log.read_bytes()[-65536:].decode(errors="replace").splitlines()[-LAST_WORDS:]
    except OSError:
        return "it left no word"
    for line in reversed(lines):
        try:
            told = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            continue
        if told.get("level") in {"fault", "bug"}:
            why = str(told.get("why") or str(told.get("traceback", "")).strip().rpartition("\n")[2])
            return f"{told.get('message')}: {why}"
    return next((line for line in reversed(lines) if line.strip()), "it left no word")


def label(row: Row) -> str:
    """How people call an execution: release #42."""
    return f"{row.pipeline} #{row.number}"
