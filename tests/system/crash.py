"""`make crash`: kill -9 of the worker at every point of a reference pipeline, and a table of what came of it.

python -m tests.system.crash [--only TEXT] [--every N] [local] [docker] [hosts] [hooks]
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.support import system
from tests.support.farm import Farm
from tests.support.onhosts import OnHosts
from tests.support.system import System

LOCAL = "[local]\nenabled = true\n"
KILLED = -9
RESTARTS = 3


class Verdict(NamedTuple):
    """What came of one kill."""

    point: str
    kills: int
    lines: int
    problems: tuple[str, ...]

    @property
    def row(self) -> str:
        said = "; ".join(self.problems) or "-"
        return f"{self.point:44} {self.kills:5} {self.lines:5}  {said}"


class Tally:
    """The table, as it grows, and its sums."""

    total = kills = bad = 0

    def show(self, where: str, count: int, verdicts: Iterator[Verdict]) -> None:
        print(f"\n{where}: {count} points\n{'point':44} {'kills':>5} {'lines':>5}  problems and left-overs", flush=True)
        for verdict in verdicts:
            print(verdict.row, flush=True)
            self.total, self.kills, self.bad = self.total + 1, self.kills + verdict.kills, self.bad + bool(verdict.problems)


class Place(NamedTuple):
    """Where the actions run."""

    name: str
    image: str = ""
    farm: Farm | None = None

    def system(self, root: Path) -> System:
        """A repository with the reference pipeline, pushed and queued."""
        if self.farm:
            return OnHosts(root, self.farm.hosts, self.farm.key)
        made = System(root, "" if self.image else LOCAL, share=bool(self.image))
        runner = f'image: "{self.image}"' if self.image else "runner: local"
        lines = "/share/told" if self.image else str(made.lines)
        made.commit({".pipeline/release.yaml": system.pipeline(runner, lines), "file": "content"})
        made.queued()
        return made


def points(place: Place, root: Path) -> list[str]:
    """All points that the worker passes on the way to the end, in their order."""
    trace = root / "trace"
    made = place.system(root / "reference")
    assert made.work(trace=trace) == 0, made.log
    found = list(made.problems())
    assert not found, (found, made.log)
    return list(dict.fromkeys(trace.read_text().splitlines()))


def crash(place: Place, root: Path, point: str, *, again: str = "") -> Verdict:
    """Kill a worker there (and the next one `again`), start it until it ends by itself, and look."""
    made = place.system(root)
    kills = 0
    try:
        for at in (point, again, *[""] * RESTARTS):
            code = made.work(at=at)
            kills += code == KILLED
            if code == 0 and not at:
                break
        found = list(made.problems()) if code == 0 else [f"the worker ended with {code}: {made.log[-2000:]}"]
    except Exception as error:
        found = [f"{type(error).__name__}: {error} {made.log[-2000:]}"]
    finally:
        made.end()
    return Verdict(point + (f" / {again}" if again else ""), kills, made.told.total(), tuple(found))


def hook_points(root: Path) -> list[str]:
    """All points that the hooks of a push pass."""
    made, trace = _hooked(root / "reference"), root / "trace"
    made.queued(env={"CRASH_HOOK_TRACE": str(trace)})
    return list(dict.fromkeys(trace.read_text().splitlines()))


def _hooked(root: Path) -> System:
    made = System(root, LOCAL)
    made.count_hooks()
    made.commit({".pipeline/release.yaml": system.pipeline("runner: local", str(made.lines))})
    return made


def crash_hook(root: Path, point: str) -> Verdict:
    """Kill a hook there: the push goes through all the same, and what it starts is run once."""
    made = _hooked(root)
    kills = 0
    try:
        said = made.queued(env={"CRASH_HOOK_AT": point})
        kills = said.count("exit code 137")
        made.run(*("-C", str(made.bare), "rev-parse", "--verify", "-q", "refs/heads/main"))
        code = made.work(patience=0.1)
        if not made.rows:  # no hook had told anybody: what the pusher was told to run
            with made.intake() as intake:
                intake.missed()
            code = made.work(patience=0.1)
        found = list(made.problems()) if code == 0 else [f"the worker ended with {code}: {made.log[-2000:]}"]
    except Exception as error:
        found = [f"{type(error).__name__}: {error}"]
    finally:
        made.end()
    return Verdict(point, kills, made.told.total(), tuple(found))


def hook_campaign(chosen: list[str], root: Path, workers: int) -> Iterator[Verdict]:
    """Crash at each of the points, some at once."""

    def one(numbered: tuple[int, str]) -> Verdict:
        where = root / f"hooks-{numbered[0]}"
        try:
            return crash_hook(where, numbered[1])
        finally:
            shutil.rmtree(where, ignore_errors=True)

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(one, enumerate(chosen))


def campaign(place: Place, chosen: list[str], root: Path, workers: int) -> Iterator[Verdict]:
    """Crash at each of the points, some at once; every seventh is killed twice."""

    def one(numbered: tuple[int, str]) -> Verdict:
        number, point = numbered
        where = root / f"{place.name}-{number}"
        again = chosen[(number * 31) % len(chosen)] if number % 7 == 6 else ""
        try:
            return crash(place, where, point, again=again)
        finally:
            shutil.rmtree(where, ignore_errors=True)

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(one, enumerate(chosen))


def places(names: list[str], root: Path) -> Iterator[Place]:
    """The places by name; all if none is named."""
    if not names or "local" in names:
        yield Place("local")
    if not names or "docker" in names:
        from tests.support import images

        yield Place("docker", images.busybox())
    if not names or "hosts" in names:
        with closing(Farm(root / "farm")) as farm:
            for _ in range(2):
                farm.host()
            yield Place("hosts", farm=farm)


def main() -> int:
    """Run all; 0 if nothing was lost, doubled or left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="*")
    parser.add_argument("--only", default="", help="points that contain this text")
    parser.add_argument("--every", type=int, default=1, help="only each n-th point")
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 2))
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="git-pipeline-crash-"))
    tally = Tally()
    try:
        for place in places(asked.places, root):
            chosen = [point for point in points(place, root / place.name) if asked.only in point][:: asked.every]
            tally.show(place.name, len(chosen), campaign(place, chosen, root, asked.workers))
        if not asked.places or "hooks" in asked.places:
            chosen = [point for point in hook_points(root / "hooks") if asked.only in point][:: asked.every]
            tally.show("hooks", len(chosen), hook_campaign(chosen, root, asked.workers))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"\n{tally.total} points, {tally.kills} kills, {tally.bad} with problems")
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
