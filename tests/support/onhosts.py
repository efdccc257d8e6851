"""A repository whose pipeline works on hosts: a script, releases with one and without, one that fails; and what is true then."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import system
from tests.support.farm import Host, leading_to
from tests.support.system import System

CONFIG = """\
local = {{enabled = true}}
protected = ["main"]
[hosts.web]
user = "root"
{way}
"""
PIPELINE = """\
defaults: {{timeout: 5m}}
stages:
  - name: look
    actions:
      - name: build
        runner: local
        run: mkdir out && echo artifact > out/file
        artifacts: {{dist: ["out/**"]}}
      - name: tell
        hosts: web
        run: |
          mkdir -p {place}; echo told >> {place}/told
          for n in 0 1 2; do echo "tell says $n"; sleep 0.02; done
  - name: production
    actions:
      - name: site
        deploy: {{to: web, strategy: all-at-once, path: {place}/site}}
      - name: app
        deploy:
          to: web
          strategy: one-at-a-time
          path: {place}/app
          start: echo "started $(cat file)" >> {place}/told; echo "app says 0"
  - name: bad
    actions:
      - name: bad
        continue_on_error: true
        inputs: [dist]
        deploy:
          to: web
          strategy: all-at-once
          path: {place}/app
          stop: echo stopped >> {place}/told
          start: echo "started $(cat file out/file)" >> {place}/told; echo "bad says 0"; test "$(hostname)" = h1 || test -f file
"""
# The last release fails on one host, so both go back: what was stopped is what ran before, and then what was to run.
EXPECTED = Counter({"told": 1, "started content": 2, "started artifact": 1, "stopped": 2})
LOGGED = ("tell says 0", "tell says 1", "tell says 2", "app says 0", "bad says 0", "bad says 0")


class OnHosts(System):
    """As System; hosts may be shared with others, as each has a place of its own on them."""

    def __init__(self, root: Path, hosts: Sequence[Host], key: Path) -> None:
        super().__init__(root, CONFIG.format(way=leading_to({host.name: host for host in hosts}, key)))
        self._hosts = hosts
        self._place = Path("srv") / f"{root.parent.name}-{root.name}"
        self.commit({".pipeline/release.yaml": PIPELINE.format(place=f"/{self._place}"), "file": "content"})
        self.queued()

    @property
    def told(self) -> Counter[str]:
        """See System: of all hosts together."""
        return sum((system.told(self._on(host) / "told") for host in self._hosts), Counter())

    def problems(self) -> Iterator[str]:
        """See System."""
        yield from self.ended()
        yield from system.leftovers(self)
        log = (self.note("pipeline-log", self.head) or b"").decode()
        for host in self._hosts:
            yield from (f"{host.name}: {problem}" for problem in self._wrong_with(host))
            printed = Counter(re.findall(rf"^{host.name}(?: rollback)? \|.*?(\w+ says \d)$", log, re.MULTILINE))
            if printed != Counter(LOGGED):
                yield f"log of {host.name}: {dict(printed)}"

    def _wrong_with(self, host: Host) -> Iterator[str]:
        if (found := system.told(self._on(host) / "told")) != EXPECTED:
            yield f"lines: {dict(found)}"
        for name in ("site", "app"):
            base = self._on(host) / name
            state = base / ".deploy"
            if (base / base.joinpath("current").readlink() / "file").read_text() != "content":
                yield f"{name} does not run the release"
            yield from (f"{name}: {left.relative_to(base)} is left" for left in (*state.glob("lock*"), *(state / "in").iterdir()))
        yield from (f"job {left.name}" for row in self.rows for left in host.jobs.glob(f"{row.id}*"))

    def _on(self, host: Host) -> Path:
        return host.root.parent / self._place
