"""A repository with a real worker, people who steer it, and a group `web` of real hosts."""

import json
import sys
from pathlib import Path

from agent.model.outcome import Status
from agent.worker.spawn import start
from tests.support.farm import Farm, Host, leading_to
from tests.support.keys import Keys
from tests.support.steered import Steered

CONFIG = """\
linger = "PT10S"
protected = ["main"]
{people}
[hosts.web]
user = "root"
{way}
pipelines = ["release"]
{more}
"""


class Hosted(Steered):
    """As Steered; `hosts` of the farm are web-1, web-2, …"""

    def __init__(self, root: Path, keys: Keys, farm: Farm, hosts: list[Host]) -> None:
        super().__init__(root, keys)
        self.farm = farm
        self.hosts = hosts
        self.set_hosts()

    def set_hosts(self, more: str = "", *, known: list[str] | None = None) -> None:
        """Write the configuration; `more` goes below it."""
        named = {f"web-{number}": host for number, host in enumerate(self.hosts, 1)}
        self.configure(CONFIG.format(people=self.keys.config, way=leading_to(named, self.farm.key, known), more=more))

    def release(self, script: str, more: str = "", *, name: str = "release", group: str = "web") -> str:
        """Commit a pipeline whose one action runs on the hosts, not pushed yet; the commit."""
        lines = "".join(f"          {line}\n" for line in script.splitlines())
        action = f"      - name: go\n        hosts: {group}\n        run: |\n{lines}"
        action += "".join(f"        {line}\n" for line in more.splitlines())
        triggers = 'triggers: [{push: {branches: ["**"]}}]\n'
        return self.commit({f".pipeline/{name}.yaml": f"{triggers}stages:\n  - name: stage\n    actions:\n{action}"})

    def work_on(self) -> None:
        """Start a worker, as the timer would."""
        start(str(self.bare), sys.executable, self.environment, str(self.directory / "agent.log"))

    def action(self) -> dict:
        """What the record of the commit's execution says of the action, once it is over."""
        self.wait(lambda: Status(self._record().get("status", Status.QUEUED)).is_final, "the record is written")
        return self._record()["stages"][0]["actions"][0]

    def logged(self) -> str:
        """The complete log in the notes."""
        return (self.note("pipeline-log", self.head) or b"").decode()

    def _record(self) -> dict:
        lines = (self.note("pipeline-record", self.head) or b"").splitlines()
        return json.loads(lines[-1]) if lines else {}
