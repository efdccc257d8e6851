"""Deployments to hosts over SSH, the first one and one of which 1 % is new: `python -m bench deploy`. Takes a while.

Ours runs in a worker that is there already; the peers are processes, as they are for their users. All make connections anew.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from agent.artifacts.pack import collect
from agent.model.plan import ArtifactOutput
from bench.deploying import Deployer, Hosts, Version, by_ansible, by_fabric, by_pyinfra, by_rsync, ours, peers
from bench.table import Row, compare, render
from bench.tools import rsync
from tests.support.deploying import Fleet, fleet_in

COMMIT, ARTIFACT, RSYNC = "ours, a commit", "ours, an artifact", "rsync --link-dest"
SHAPES = {"20,000 files": (20_000, 3_700), "200 MB": (100, 2_000_000), "4 large files": (4, 50_000_000)}  # files, bytes of each
TARGETS = {"first": {COMMIT: "<= 1.1", ARTIFACT: "<= 1.1"}, "1 % new": {COMMIT: "<= 0.25", ARTIFACT: "<= 0.6"}}


def run(rounds: int = 3, counts: tuple[int, ...] = (1, 10), shapes: tuple[str, ...] = tuple(SHAPES)) -> list[Row]:
    """Seconds until all hosts run a version, beside rsync in the same round."""
    rows = []
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        for shape in shapes:
            for count in counts:
                place = Path(directory) / f"{len(rows)}"
                with fleet_in(place) as fleet:
                    rows += _measure(fleet, place, shape, count, rounds)
                shutil.rmtree(place)
    return rows


def _measure(fleet: Fleet, place: Path, shape: str, count: int, rounds: int) -> list[Row]:
    for _ in range(count):
        fleet.farm.host(extra="Subsystem sftp internal-sftp")  # Fabric and pyinfra
    one, two = _versions(fleet, place, *SHAPES[shape])
    hosts = Hosts(fleet, count, place)
    deployers: dict[str, Deployer] = {COMMIT: ours(hosts, "commit"), ARTIFACT: ours(hosts, "artifact")}
    if not rsync().why_not:
        deployers[RSYNC] = by_rsync(hosts)
    if not peers().why_not:
        deployers |= {"Ansible": by_ansible(hosts), "Fabric": by_fabric(hosts), "pyinfra": by_pyinfra(hosts)}
    seconds: dict[str, dict[str, list[float]]] = {"first": {}, "1 % new": {}}
    for number in range(rounds):
        for name in sorted(deployers, key=list(deployers).index, reverse=number % 2 == 1):
            _empty(hosts)
            seconds["first"].setdefault(name, []).append(_timed(hosts, deployers[name], one, ""))
            seconds["1 % new"].setdefault(name, []).append(_timed(hosts, deployers[name], two, one.name))
    hosts_ = "1 host" if count == 1 else f"{count} hosts"
    return [
        row
        for which, measured in seconds.items()
        for row in compare(f"{shape}, {hosts_}, {which}", measured, RSYNC if RSYNC in measured else COMMIT, TARGETS[which])
    ]


def _timed(hosts: Hosts, deploy: Deployer, version: Version, former: str) -> float:
    began = time.perf_counter()
    deploy(version, former)
    seconds = time.perf_counter() - began
    sample = next(path for path in version.directory.rglob("f0"))
    for host in hosts.all:
        base = host.root.parent / "srv" / "app"
        found = base / (base / "current").readlink() / sample.relative_to(version.directory)
        if found.read_bytes() != sample.read_bytes():
            raise RuntimeError(f"{host.name} does not run the version that it was to run")
    return seconds


def _empty(hosts: Hosts) -> None:
    for host in hosts.all:
        for left in (host.root.parent / "srv").iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _versions(fleet: Fleet, place: Path, files: int, size: int) -> tuple[Version, Version]:
    """Two versions; in the second, one file of a hundred is another, or a hundredth of each file where there are few."""
    dice = Random(1)
    made: list[Version] = []
    for name, value in {"gc.auto": "0", "core.looseCompression": "0"}.items():
        fleet.git.run("config", name, value)
    for name in ("one", "two"):
        directory = place / name
        if made:
            shutil.copytree(made[0].directory, directory, symlinks=True)
        for number in range(0, files, 100 if made and files >= 100 else 1):
            path = directory / f"d{number % 20}" / f"e{number % 400}" / f"f{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if made and files < 100:
                _change(path, dice.randbytes(size // 100))
            else:
                path.write_bytes(dice.randbytes(size))
        collected = collect(directory, ArtifactOutput(name="dist", files=("**",)), place)
        fleet.artifacts.put(collected.archive, collected.record.digest)
        made.append(Version(name, directory, fleet.commit_directory(directory), collected.record.digest))
    fleet.git.run("repack", "-adq")  # as a push leaves it
    return made[0], made[1]


def _change(path: Path, more: bytes) -> None:
    """Other bytes in the middle, and one more, so that what follows moves."""
    former = path.read_bytes()
    middle = len(former) // 2
    path.write_bytes(former[:middle] + more + b"!" + former[middle + len(more) :])


def main(words: list[str]) -> None:
    """Words are numbers of hosts and beginnings of shapes; none is all of them."""
    counts = tuple(int(word) for word in words if word.isdigit() and int(word) < 200)
    shapes = tuple(name for name in SHAPES if any(name.startswith(word) for word in words if not word.isdigit()))
    print(render("A deployment over SSH", run(3, counts or (1, 10), shapes or tuple(SHAPES))))


if __name__ == "__main__":
    main(sys.argv[1:])
