"""An attempt of a `run` action on real directories, and the Context around it: what a worker has, in small."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from agent.actions.base import Attempt
from agent.actions.notify import said
from agent.artifacts.cache import CacheStore
from agent.artifacts.copying import copy_tree
from agent.artifacts.local import LocalStore
from agent.aws.session import Sessions
from agent.config import Account, Config
from agent.errors import RefusedError
from agent.executors.local import LocalExecutor
from agent.model.execution import Execution, TriggerType
from agent.model.ids import ActionName, ExecutionId, Oid, PipelineName, RefName, StageName, attempt_id
from agent.model.plan import ArtifactInput, Plan, PlannedAction, PlannedStage, Run, Use
from agent.secrets.redact import Redactor
from agent.worker import accounts, servers
from agent.worker.children import Neighbours
from agent.worker.permit import Permit
from agent.worker.sources import secrets_of
from agent.worker.terms import Terms

COMMIT = Oid("1" * 40)
EXECUTION = ExecutionId("0" * 26)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Log:
    """A LogSink that keeps everything."""

    def __init__(self):
        self.data = b""
        self.notices: list[str] = []

    def write(self, data):
        self.data += data

    def notice(self, text):
        self.notices.append(text)


class Bench:
    """A Context whose workspaces are plain directories below `root`; `files` is what the commit has.

    Layers are copies, or made by `workspaces`.
    """

    def __init__(self, root: Path, files: dict[str, str] | None = None, executor=None, workspaces=None):
        self.root = root
        self.files = files or {}
        self.log = Log()
        self.stop = Event()
        self.now = utc_now
        self.artifacts = LocalStore(root / "artifacts")
        self.caches = CacheStore(root / "cache", utc_now)
        self.protected = True
        self.sent = []
        self.refusal = ""
        self.operator: dict[str, str] = {}
        self.hidden = Redactor(())
        self.sessions = Sessions()
        self.neighbours: Neighbours | None = None
        self.config = Config(protected=("main",), accounts={"default": Account(region="eu-west-1")})
        (root / "artifacts").mkdir(parents=True, exist_ok=True)
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        self._workspaces = workspaces
        self._executor = executor or LocalExecutor(str(root), environment, utc_now)

    def executor(self, name):
        return self._executor

    def workspace(self, attempt):
        place = self.root / "attempts" / attempt.id / "workspace"
        if not place.exists():
            for name, text in self.files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_text(text)
            place.mkdir(parents=True, exist_ok=True)
        return place

    def control(self, attempt):
        place = self.root / "attempts" / attempt.id / "control"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def secrets(self, attempt):
        return None

    def environment(self, attempt):
        return self.operator

    def permit(self, attempt):
        if self.refusal:
            raise RefusedError(self.refusal)

    def trusted(self, attempt):
        return self.protected

    def layer(self, attempt, name, lowers):
        if self._workspaces:
            return self._workspaces.create(f"{attempt.id}.{name}", lowers)
        place = self.root / "attempts" / attempt.id / name
        if not place.exists():
            copy_tree(lowers[0], place)
        return place

    def server(self, attempt, where):
        terms = Terms(self.config, "", Permit(self.config), secrets_of(self.root, self.config, {}))
        return servers.server(terms, self.hidden, attempt, where)

    def pipelines(self, attempt, repository, pipeline):
        return self.neighbours.of(Permit(self.config), attempt, repository, pipeline)

    def clients(self, attempt, account, region):
        return accounts.clients(Permit(self.config), self.sessions, attempt, account, region)

    def images(self, attempt, network):
        Permit(self.config).check_build(attempt, network)
        return self._executor.images

    def permit_image(self, image):
        Permit(self.config).check_image(image)

    def login(self, attempt, repository):
        return accounts.login(Permit(self.config), self.clients, lambda name: name.encode(), attempt, repository)

    def send(self, attempt, to, subject, message):
        Permit(self.config).destination(attempt, to)
        self.sent.append(said(attempt, subject, message, self.now()))

    def forget(self, attempt):
        """What a worker does once the end is journalled."""
        for name in self._workspaces.names() if self._workspaces else ():
            self._workspaces.remove(name)
        shutil.rmtree(self.root / "attempts" / attempt.id)


def attempt(script: str, *, number: int = 1, ref: str = "refs/heads/main", work: dict | None = None, **fields) -> Attempt:
    """An attempt of an action "build" in a stage "test" of release #7."""
    return _attempt(Run(**({"script": script, "runner": "local"} | (work or {}))), number, ref, {}, fields)


def using(provider: str, options: dict, *, number: int = 1, ref: str = "refs/heads/main", inputs=None, **fields) -> Attempt:
    """An attempt of an action with `uses`; `inputs` are the records of artifacts by name."""
    wanted = tuple(ArtifactInput(name=name) for name in inputs or ())
    return _attempt(Use(provider=provider, options=options), number, ref, inputs or {}, {"inputs": wanted, **fields})


def _attempt(work, number: int, ref: str, inputs: dict, fields: dict) -> Attempt:
    timeout = fields.pop("seconds", 60)
    action = PlannedAction(name=ActionName("build"), work=work, **fields)
    stage = PlannedStage(name=StageName("test"), actions=(action,))
    execution = Execution(
        id=EXECUTION,
        pipeline=PipelineName("release"),
        number=7,
        commit=COMMIT,
        ref=RefName(ref),
        trigger=TriggerType.PUSH,
        created_at=utc_now(),
    )
    return Attempt(
        id=attempt_id(EXECUTION, "test", "build", number),
        execution=execution,
        plan=Plan(pipeline=PipelineName("release"), stages=(stage,)),
        stage=stage,
        action=action,
        number=number,
        deadline=utc_now() + timedelta(seconds=timeout),
        inputs=inputs,
    )
