"""Two repositories on this machine with the agent's state, `ours` and `infra`, whose executions the tests end themselves."""

from pathlib import Path

from agent.config import Config
from agent.model.ids import Oid
from agent.settings import Repository
from agent.state.database import open_database
from agent.state.queue import Queue
from agent.state.requests import Requests
from agent.worker.children import Neighbours
from agent.worker.wiring import new_id
from tests.support.attempts import Bench, utc_now
from tests.support.repo import Repo

SITE = """\
variables: {target: {default: staging, choices: [staging, live]}}
stages: [{name: build, actions: [{name: unit, image: alpine, run: echo hello}]}]
"""


class Neighbourhood:
    """`bench` is a Context of attempts of `ours` at its head; no worker is ever started."""

    def __init__(self, root: Path) -> None:
        self.ours, self.infra = Repo(root / "ours"), Repo(root / "infra")
        self.databases = {}
        for repo in (self.ours, self.infra):
            repo.commit_and_push({".pipeline/site.yaml": SITE, ".pipeline/release.yaml": SITE})
            (repo.bare / "pipeline").mkdir()
            self.databases[repo] = open_database(str(repo.bare / "pipeline" / "state.db"))
        self.bench = Bench(root / "bench")
        self.bench.config = Config(
            protected=("main",),
            repositories={"infra": Repository(path=str(self.infra.bare), starts=("site",), stages=("test",))},
        )
        idle = "/bin/true"  # in place of Python: what would be started ends at once
        self.bench.neighbours = Neighbours(
            self.ours.bare, self.databases[self.ours], idle, self.ours.environment, utc_now, new_id
        )

    def rows(self, repo: Repo):
        """Its executions, oldest first."""
        return Queue(self.databases[repo]).history()[::-1]

    def end(self, repo: Repo, status: str = "Succeeded") -> None:
        """Its executions are over."""
        for row in self.rows(repo):
            Queue(self.databases[repo]).set_status(row.id, status, ended_at=utc_now().isoformat())

    def asked(self, repo: Repo) -> list[str]:
        """What is asked of its worker."""
        return [request.body for request in Requests(self.databases[repo]).open()]

    @property
    def head(self) -> Oid:
        return Oid(self.ours.head)

    def close(self) -> None:
        for database in self.databases.values():
            database.close()
