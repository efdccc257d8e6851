"""A repository with the agent, a pipeline whose actions tell outside that they ran, and what must be true when it is over."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.execution.events import ActionEnded, ActionStarting, Event, ExecutionEnded, RuleEnded
from agent.executors import processes
from agent.executors.container import LABEL
from agent.state.database import open_existing
from agent.state.journal import Journal
from agent.state.marks import Marks
from agent.state.queue import Row
from agent.worker import wake
from agent.workspaces.mounts import mounted, unmount
from tests.support.installed import Installed

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.support.crashes import main; main()"
HOOK = f"""#!/bin/sh
exec {sys.executable} -I -c 'import sys; sys.path.insert(0, "{ROOT}"); from tests.support.crashes import hook; hook()' "$@"
"""
PATIENCE = 120.0  # seconds; the machine may be busy with other tests
SECRETS = Path("/run/git-pipeline/secrets")

# Two stages, side by side, `needs`, artifacts, outputs, a retry, a cache, a script that asks before a stage, services on Docker.
PIPELINE = """\
defaults: {{{runner}, timeout: 5m}}
stages:
  - name: build
    actions:
      - name: make
        run: |
{make}
          mkdir -p out; echo made > out/file; echo "version=7" >> "$PIPELINE_OUTPUT"
        artifacts: {{dist: ["out/**"]}}
        outputs: [version]
        cache: {{paths: [kept]}}
      - name: beside
        run: |
{beside}
      - name: flaky
        retries: {{count: 1, delay: 1s}}
        run: |
{flaky}
          test "$PIPELINE_ATTEMPT" -gt 1
      - name: after
        needs: [make]
        inputs: [dist]
        run: |
{after}
          test "$(cat out/file)" = made
  - name: test
    conditions:
      before_entry:
        command: {{{runner}, run: "echo rule >> {lines}"}}
    actions:
      - name: check
        inputs: [dist]
        env: {{VERSION: "${{{{ make.version }}}}"}}
        run: |
{check}
          test "$VERSION" = 7
          test "$(cat out/file)" = made
"""
EXPECTED = Counter({"make 1": 1, "beside 1": 1, "flaky 1": 1, "flaky 2": 1, "after 1": 1, "rule": 1, "check 1": 1})
LOGGED = 3  # lines that each action prints


def pipeline(runner: str, lines: str) -> str:
    """The reference pipeline; each action and the rule append a line to `lines`."""
    scripts = {name: _script(name, lines) for name in ("make", "beside", "flaky", "after", "check")}
    return PIPELINE.format(runner=runner, lines=lines, **scripts)


def _script(name: str, lines: str) -> str:
    said = [f'echo "{name} $PIPELINE_ATTEMPT" >> {lines}']
    said += [f'echo "{name} says {number} in $PIPELINE_ATTEMPT"; sleep 0.02' for number in range(LOGGED)]
    return "\n".join(f"          {line}" for line in said)


class System(Installed):
    """As Installed, with workers that are started, killed and started again by hand."""

    def __init__(self, root: Path, config: str = "", share: bool = False) -> None:
        super().__init__(root)
        self.close()
        self.lines = root / "lines" / "told"
        self.lines.parent.mkdir()
        self.share = share
        self._workers: list[subprocess.Popen[bytes]] = []
        self.configure(config)

    def configure(self, text: str) -> None:
        (self.directory / "config.toml").write_text(f'linger = "PT0S"\n{text}')

    def count_hooks(self) -> None:
        """From now on the hooks count their points."""
        python = self.root / "python"
        python.write_text(HOOK)
        python.chmod(0o755)
        self.install(python)

    def queued(self, *refspecs: str, options: tuple[str, ...] = (), **more) -> str:
        """Push without a worker being started for it; returns what the pusher read."""
        listener = wake.listen(str(self.directory))
        try:
            return self.detached(*refspecs, options=options, **more)
        finally:
            os.close(listener)

    def worker(
        self,
        *,
        at: str = "",
        trace: Path | None = None,
        env: dict[str, str] | None = None,
        shift: float = 0,
        patience: float | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a worker; with any of these but `env` one that is not quite what it is in use (tests.support.crashes)."""
        more = {
            "CRASH_AT": at,
            "CRASH_TRACE": str(trace or ""),
            "CRASH_SHARE": str(self.lines.parent) if self.share else "",
            "CRASH_SHIFT": str(shift or ""),
            "CRASH_PATIENCE": "" if patience is None else str(patience),
        }
        counted = any(more.values())
        words = ["-c", LAUNCH] if counted else ["-m", "agent.worker"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", **(more if counted else {})}
        with (self.root / "worker.log").open("ab") as log:  # not below the repository, whose disk may be full
            process = subprocess.Popen(
                [sys.executable, "-I", *words, str(self.bare)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment | (env or {}), start_new_session=True,
            )  # fmt: skip
        self._workers.append(process)
        return process

    def work(self, **more) -> int:
        """Run a worker to its end; returns its exit code, negative if a signal ended it."""
        process = self.worker(**more)
        try:
            return process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.executions

    def events(self, execution: str) -> list[Event]:
        database = open_existing(str(self.directory / "state.db"))
        try:
            return [msgspec.json.decode(body, type=Event) for body in Journal(database).read(execution)]
        finally:
            database.close()

    @property
    def identity(self) -> str:
        database = open_existing(str(self.directory / "state.db"))
        try:
            return Marks(database).get("identity")
        finally:
            database.close()

    @property
    def log(self) -> str:
        paths = (self.directory / "agent.log", self.root / "worker.log")
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    @property
    def told(self) -> Counter[str]:
        """What the actions told, and how often."""
        return told(self.lines)

    def problems(self) -> Iterator[str]:
        """All that is not as it must be once the one execution of the reference pipeline is over."""
        if self.told != EXPECTED:
            yield f"lines: {dict((self.told - EXPECTED) + (EXPECTED - self.told))} differ"
        yield from self.ended()
        yield from _logged(self)
        yield from leftovers(self)

    def ended(self) -> Iterator[str]:
        """What is wrong with how the one execution ended, and with how that is told."""
        if [row.status for row in self.rows] != ["Succeeded"]:
            yield f"status: {[row.status for row in self.rows]}"
        for row in self.rows:
            yield from _journal(self.events(row.id))
        records = self.records(self.head)
        if [record.get("status") for record in records] != ["Succeeded"]:
            yield f"record: {[record.get('status') for record in records]}"
        if b"succeeded" not in (self.note("pipeline", self.head) or b"").lower():
            yield "the note for people does not tell the success"

    def records(self, commit: str) -> list[dict]:
        return [json.loads(line) for line in (self.note("pipeline-record", commit) or b"").splitlines()]

    def until(self, condition, what: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds:g} s: {what}\n{self.log[-4000:]}"
            time.sleep(0.02)

    def end(self) -> None:
        """End what this repository still runs, if a test failed."""
        for process in self._workers:
            process.kill()
            process.wait()
        executions = [path.name for path in self.directory.glob("executions/*")]
        for pid in _of(self.bare, executions):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in list(mounted(self.directory)):
            unmount(mount)


def told(lines: Path) -> Counter[str]:
    """What the actions told, and how often."""
    return Counter(lines.read_text().splitlines()) if lines.exists() else Counter()


def _journal(events: Iterable[Event]) -> Iterator[str]:
    """Everything is announced and ended exactly once."""
    counts: Counter[tuple] = Counter()
    for event in events:
        match event:
            case ActionStarting() | ActionEnded():
                counts[type(event).__name__, event.stage, event.action, event.attempt] += 1
            case RuleEnded():
                counts["rule", event.stage, event.index] += 1
            case ExecutionEnded():
                counts["end"] += 1
    if counts["end"] != 1:
        yield f"the execution ended {counts['end']} times"
    yield from (f"journalled {count} times: {key}" for key, count in counts.items() if count != 1)


def _logged(system: System) -> Iterator[str]:
    log = (system.note("pipeline-log", system.head) or b"").decode()
    printed = Counter(re.findall(r"^(\w+) says (\d+) in (\d+)$", log, re.MULTILINE))
    for name, attempt in (line.split() for line in EXPECTED if " " in line):
        for number in range(LOGGED):
            if printed[name, str(number), attempt] != 1:
                yield f"log: line {number} of {name} {attempt} is there {printed[name, str(number), attempt]} times"


def leftovers(system: System) -> Iterator[str]:
    """What should be gone once nothing runs: of this repository only."""
    directory = system.directory
    yield from (f"mount {point}" for point in mounted(system.bare))
    yield from (f"process {pid}" for pid in _of(system.bare, [row.id for row in system.rows]))
    for pattern in ("executions/*/attempts/*", "workspaces/*", "probe-*", "checkouts/gone-*", "unsettled", "cache/claims/*"):
        yield from (f"file {path.relative_to(directory)}" for path in directory.glob(pattern))
    yield from (f"temporary file {path}" for path in _temporary(system.bare))
    leases = directory / "checkouts" / "leases.json"
    if leases.exists() and (held := json.loads(leases.read_bytes())):
        yield f"lease {held}"
    yield from (f"secret {path}" for path in (SECRETS / system.identity).glob("*"))
    if system.share:
        yield from _in_engine(system.identity)


def _temporary(bare: Path) -> Iterator[Path]:
    for path in bare.rglob("*"):
        if re.search(r"^tmp_|\.lock$|\.new$|^\.tmp|^tmp", path.name) and path.name not in {"worker.lock", "notes.lock"}:
            yield path.relative_to(bare)


def _of(bare: Path, executions: Iterable[str] = ()) -> list[int]:
    """Processes that name the repository, or are marked as those of an execution."""
    wanted = tuple(executions)
    found = []
    for pid in processes.everyone():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        mark = processes.environment(pid).get(processes.MARK, "")
        if pid != os.getpid() and (str(bare) in words or mark.partition("-")[0] in (wanted or {None})):
            stat = processes.stat(pid)
            if stat and stat[2] not in {"Z", "X"}:
                found.append(pid)
    return found


def _in_engine(identity: str) -> Iterator[str]:
    import docker

    client = docker.APIClient(version="auto")
    try:
        label = {"label": f"{LABEL}repository={identity}"}
        yield from (f"container {one['Names'][0]}" for one in client.containers(all=True, filters=label))
        yield from (f"network {one['Name']}" for one in client.networks(filters=label))
        yield from (f"volume {one['Name']}" for one in client.volumes(filters=label)["Volumes"] or ())
    finally:
        client.close()
