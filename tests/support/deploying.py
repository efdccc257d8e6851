"""Deployments on a farm of sshd processes: a real repository, attempts of a `deploy` action, and the Context around them."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from agent.actions.base import Attempt
from agent.actions.deploy import DeployAction
from agent.artifacts.pack import collect
from agent.config import Balancer, HostGroup
from agent.executors.balancer import DummyBalancer, DummySwitch
from agent.executors.fleet import Fleet as Groups
from agent.executors.ssh import SshExecutor
from agent.git.command import Git, clean_environment
from agent.model.execution import Execution, TriggerType
from agent.model.ids import ActionName, ArtifactName, ExecutionId, Oid, PipelineName, RefName, StageName, attempt_id
from agent.model.outcome import ArtifactRecord
from agent.model.plan import ArtifactInput, ArtifactOutput, Deploy, Plan, PlannedAction, PlannedStage
from tests.support.attempts import Bench, Log, utc_now
from tests.support.farm import Farm, Host, route

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


class Traffic:
    """A Balance of dummies; with `names` there are two fleets, and the first one is live."""

    def __init__(self, names: tuple[str, ...] = (), balancer=None) -> None:
        self.names = names
        self.balancer = balancer or DummyBalancer()
        self.switch = DummySwitch({name: 100 if name == names[0] else 0 for name in names})

    def hosts(self, group: HostGroup) -> DummyBalancer:
        return self.balancer

    def fleets(self, group: HostGroup) -> DummySwitch:
        return self.switch


def _group(hosts: Sequence[Host]) -> HostGroup:
    return HostGroup(addresses={host.name: f"{host.address}:{host.port}" for host in hosts})


class Fleet(Bench):
    """A Context with hosts of a farm; `commit` makes revisions, `deploy` performs attempts."""

    def __init__(self, root: Path, farm: Farm):
        super().__init__(root / "agent")
        self.farm = farm
        self.tree = root / "source"
        self._git("init", "-q", "-b", "main", str(self.tree), inside=False)
        self.git = Git(self.tree / ".git", clean_environment({"PATH": "/usr/bin:/bin"}))
        self.traffic: Traffic | None = None
        self._groups: Groups | None = None
        self._count = 0
        self._run = secrets.token_hex(8)  # all farms share the machine's processes, which are found by the id of their attempt

    def executor(self, name):
        if self._groups is None:
            self._groups = Groups(self._sections(), self.root / "hosts", lambda places: (), self._build, self.traffic)
        return self._groups

    def _sections(self) -> dict[str, HostGroup]:
        """A group of all hosts, or two fleets of the same number of hosts."""
        hosts, fleets = self.farm.hosts, self.traffic.names if self.traffic else ()
        if not fleets:
            return {"web": _group(hosts)}
        half = len(hosts) // 2
        both = HostGroup(fleets=fleets, balancer=Balancer(region="eu-west-1", listener="arn:x"))
        return {"web": both, fleets[0]: _group(hosts[:half]), fleets[1]: _group(hosts[half:])}

    def commit(self, files: dict[str, str], *, modes: dict[str, int] | None = None) -> str:
        """A commit with exactly these files; its id."""
        for old in self.tree.iterdir():
            if old.name != ".git":
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        for name, text in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                path.symlink_to(text[3:])
            else:
                path.write_text(text)
                path.chmod((modes or {}).get(name, 0o755 if name.endswith(".sh") else 0o644))
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "a revision")
        return self._git("rev-parse", "HEAD").strip()

    def bundle(self, directory: Path, **more: str) -> str:
        """A commit with the files of a directory; executable as they are there."""
        files = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
        modes = {name: path.stat().st_mode & 0o777 for name, path in files.items()}
        return self.commit({name: path.read_text() for name, path in files.items()} | more, modes=modes)

    def revision(self, files: dict[str, str], kind: str = "commit") -> dict[str, str]:
        """A commit with exactly these files, or also an artifact of them: what `attempt` takes."""
        commit = self.commit(files)
        if kind == "commit":
            return {"commit": commit}
        output = ArtifactOutput(name=ArtifactName("dist"), files=("**",), exclude=(".git/**",))
        collected = collect(self.tree, output, self.root)
        self.artifacts.put(collected.archive, collected.record.digest)
        return {"commit": commit, "digest": collected.record.digest}

    def commit_directory(self, directory: Path) -> str:
        """A commit with all that stands in a directory; its id."""
        there = ("-C", str(directory), "--git-dir", str(self.tree / ".git"), "--work-tree", str(directory))
        self._git(*there, "add", "-A", inside=False)
        self._git(*there, "commit", "-q", "-m", "a revision", inside=False)
        return self._git("rev-parse", "HEAD").strip()

    def attempt(
        self,
        commit: str,
        strategy: str = "all-at-once",
        timeout: float = 120,
        *,
        digest: str = "",
        env: dict[str, str] | None = None,
        **options,
    ) -> Attempt:
        """The next attempt of an action that deploys this commit, or the artifact of that digest."""
        self._count += 1
        work = Deploy(to="web", strategy=strategy, options={"path": "/srv/app", **options})
        inputs = (ArtifactInput(name=ArtifactName("dist")),) if digest else ()
        action = PlannedAction(name=ActionName("web"), work=work, inputs=inputs, env=env or {})
        stage = PlannedStage(name=StageName("production"), actions=(action,))
        execution = Execution(
            id=ExecutionId(f"{self._run}{self._count:010d}"),
            pipeline=PipelineName("release"),
            number=self._count,
            commit=Oid(commit),
            ref=RefName("refs/heads/main"),
            trigger=TriggerType.PUSH,
            created_at=utc_now(),
        )
        return Attempt(
            id=attempt_id(execution.id, "production", "web", 1),
            execution=execution,
            plan=Plan(pipeline=execution.pipeline, stages=(stage,)),
            stage=stage,
            action=action,
            number=1,
            inputs={"dist": ArtifactRecord(name="dist", digest=digest, size=0, files=0)} if digest else {},
            deadline=utc_now() + timedelta(seconds=timeout),
        )

    def deploy(self, commit: str, strategy: str = "all-at-once", **options):
        """Perform a new attempt; its outcome."""
        self.log = Log()
        return DeployAction().perform(self.attempt(commit, strategy, **options), self)

    def perform(self, attempt: Attempt):
        """Perform an attempt, perhaps once more."""
        self.log = Log()
        return DeployAction().perform(attempt, self)

    @property
    def text(self) -> str:
        """The log of the last attempt."""
        return self.log.data.decode()

    def app(self, number: int = 0) -> Path:
        """The application's directory on a host."""
        return self.farm.hosts[number].root.parent / "srv" / "app"

    def current(self, number: int = 0) -> Path:
        """The release that a host runs, as the tests reach it."""
        return self.app(number) / (self.app(number) / "current").readlink()

    def hang_up(self) -> None:
        """Close all connections, as an agent that is gone."""
        if self._groups:
            self._groups.close()
        self._groups = None

    def _build(self, group, about) -> SshExecutor:
        host = next(host for host in self.farm.hosts if host.name == about.name)
        return SshExecutor("test repository", route(host, self.farm.key, timeout=3.0), utc_now, patience=3.0)

    def _git(self, *words: str, inside: bool = True) -> str:
        command = ["git", *(("-C", str(self.tree)) if inside else ()), *words]
        return subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout


@contextmanager
def fleet_in(directory: Path) -> Iterator[Fleet]:
    """A fleet without hosts yet."""
    farm = Farm(directory / "farm")
    fleet = Fleet(directory, farm)
    try:
        yield fleet
    finally:
        fleet.hang_up()
        farm.close()
