"""Kept checkouts: a commit's files in a directory that is brought up to date by what differs, at about 1/80 of a clone.

Each slot has `tree` (the files), `index`, and `commit` (what the tree holds; absent while it is being changed). A slot that
somebody holds is never changed. Who holds which is on disk, so that it also holds for a worker that starts again.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent.errors import EnvironmentFault
from agent.git.command import Git
from agent.model.value import Value

KEPT = 4  # slots; more only while more are held
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}

# Nothing that is configured may run a program or leave files out; the tree is what the commit and its attributes say.
_CONFIG = {
    "checkout.workers": "2",
    "checkout.thresholdForParallelism": "100",
    "core.attributesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.bare": "false",
    "core.fileMode": "true",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.ignoreCase": "false",
    "core.sparseCheckout": "false",
    "core.splitIndex": "false",
    "core.symlinks": "true",
    "core.untrackedCache": "false",
    "submodule.recurse": "false",
}
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FILTER = re.compile(r"filter\.(.+)\.[^.]+")


class Lease(Value, frozen=True):
    """A slot that must not be changed: the commit it holds or will hold, and for whom."""

    commit: str
    holders: tuple[str, ...]


class Checkouts:
    """The slots of one repository. Safe from several threads and processes."""

    def __init__(self, git_dir: str, root: Path, environment: Mapping[str, str] = ENVIRONMENT, kept: int = KEPT) -> None:
        isolated = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_LFS_SKIP_SMUDGE": "1"}
        self._git = Git(git_dir, {**environment, **isolated})
        self._root = root.absolute()
        self._kept = kept
        self._given: dict[tuple[str, str], Path] = {}  # what holders of this process have, who ask for each of their attempts

    def acquire(self, commit: str, holder: str = "") -> Path:
        """A directory with the files of a commit, shared and read-only, that stays as it is until `release`.

        All holders of a commit share it; asking again, also after a crash, gives the same directory. Raises EnvironmentFault
        if the commit is not there or cannot be written.
        """
        if given := self._given.get((commit, holder)):
            return given
        if not _OID.fullmatch(commit):
            raise ValueError(f"{commit!r} is not the id of a commit")
        with self._leases() as leases:
            slot = self._choose(leases, commit)
            holders = leases[slot.name].holders if slot.name in leases else ()
            leases[slot.name] = Lease(commit=commit, holders=tuple(dict.fromkeys((*holders, holder))))
        try:
            slot.bring(self._git, commit)
        except BaseException:
            self.release(commit, holder)
            raise
        self._given[commit, holder] = slot.tree
        return slot.tree

    def release(self, commit: str, holder: str = "") -> None:
        """The holder does not need the commit any more. Safe twice. Slots beyond those that are kept go, the oldest first."""
        self._drop(lambda lease, name: lease.commit == commit and name == holder)

    def retain(self, holders: frozenset[str]) -> None:
        """Only these hold anything: releases what a worker left behind that did not come back for it."""
        self._drop(lambda _, name: name not in holders)

    def _drop(self, is_over: Callable[[Lease, str], bool]) -> None:
        with self._leases() as leases:
            self._given.clear()
            for name, lease in list(leases.items()):
                left = tuple(holder for holder in lease.holders if not is_over(lease, holder))
                if left != lease.holders:
                    self._slot(name).touch()
                    leases[name] = Lease(commit=lease.commit, holders=left)
                if not left:
                    del leases[name]
            gone = self._retire(leases)
        for directory in gone:
            shutil.rmtree(directory, ignore_errors=True)

    def _retire(self, leases: Mapping[str, Lease]) -> list[Path]:
        """Move away the slots that are too many, and name all that was moved away now or by somebody who was killed."""
        slots = self._slots()
        free = sorted((slot for slot in slots if slot.name not in leases), key=lambda slot: slot.used)
        for slot in free[: max(0, len(slots) - self._kept)]:
            slot.home.rename(self._root / f"gone-{slot.name}-{slot.home.stat().st_mtime_ns}")
        return list(self._root.glob("gone-*"))

    def _choose(self, leases: Mapping[str, Lease], commit: str) -> "Slot":
        """The slot that is held for the commit, else one that has it, else the one used last, else a new one."""
        for name, lease in leases.items():
            if lease.commit == commit:
                return self._slot(name)
        slots = self._slots()
        free = [slot for slot in slots if slot.name not in leases]
        if free:
            return max(free, key=lambda slot: (slot.commit == commit, slot.used))
        taken = {slot.name for slot in slots} | set(leases)
        return self._slot(next(name for name in map(str, range(1, len(taken) + 2)) if name not in taken))

    def _slot(self, name: str) -> "Slot":
        return Slot(self._root / name)

    def _slots(self) -> list["Slot"]:
        return [Slot(entry) for entry in self._root.iterdir() if entry.name.isdecimal()]

    @contextmanager
    def _leases(self) -> Iterator[dict[str, Lease]]:
        """The leases by slot, to be changed by one at a time; written down at the end."""
        self._root.mkdir(parents=True, exist_ok=True)
        with _locked(self._root / "lock"):
            leases = _read_leases(self._root / "leases.json")
            before = dict(leases)
            yield leases
            if leases != before:
                _write(self._root / "leases.json", msgspec.json.encode(leases))


class Slot:
    """One kept directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.name = home.name
        self.tree = home / "tree"
        self._index = home / "index"
        self._marker = home / "commit"

    @property
    def commit(self) -> str:
        """What the tree holds for certain; empty if it is half changed, or may have suffered when the machine went down."""
        try:
            commit, _, boot = self._marker.read_text().partition(" ")
        except OSError:
            return ""
        return commit if boot == _boot() else ""

    @property
    def used(self) -> float:
        """When it was last taken or given back; 0 for one that is half changed."""
        try:
            return self._marker.stat().st_mtime
        except OSError:
            return 0.0

    def touch(self) -> None:
        """It is in use now."""
        if self._marker.exists():
            os.utime(self._marker)

    def bring(self, git: Git, commit: str) -> None:
        """Make the tree that of a commit. Raises EnvironmentFault."""
        try:
            self.tree.mkdir(parents=True, exist_ok=True)
            with _locked(self.home / "lock") as lock:
                if self.commit != commit:
                    self._marker.unlink(missing_ok=True)
                    self._update(git, commit, lock)
                    _write(self._marker, f"{commit} {_boot()}".encode())
                self.touch()
        except OSError as error:
            raise EnvironmentFault(
                f"commit {commit} cannot be checked out: {error}", hint="make room on the disk, and look at the owner of it"
            ) from error

    def _update(self, git: Git, commit: str, lock: int) -> None:
        (self.home / "index.lock").unlink(missing_ok=True)  # of a killed git; we hold the slot's own lock
        environment = self._environment(git)

        def call(*args: str) -> tuple[int, bytes]:
            code, _, err = git.call("-C", str(self.tree), *args, environment=environment, lock=lock)
            return code, err

        code, err = call("read-tree", "-u", "--reset", commit)
        if code and self._index.exists():  # perhaps it is the index that is damaged; without it every file is written anew
            self._index.unlink()
            code, err = call("read-tree", "-u", "--reset", commit)
        if not code:
            code, err = call("clean", "-ffdxq")
        if code:
            raise EnvironmentFault(
                f"commit {commit} cannot be checked out: {err.decode(errors='replace').strip()[-2000:]}",
                hint=f"is it still there, and is there room on the disk of {self.home}? `git pipeline doctor` looks",
            )

    def _environment(self, git: Git) -> dict[str, str]:
        config = {**_CONFIG, **_no_filters(git)}
        pairs = {f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(config)}
        values = {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(config.values())}
        places = {"GIT_WORK_TREE": str(self.tree), "GIT_INDEX_FILE": str(self._index)}
        return {**places, **pairs, **values, "GIT_CONFIG_COUNT": str(len(config))}


def _no_filters(git: Git) -> dict[str, str]:
    """Settings that switch off every content filter that the repository's configuration knows."""
    _, out, _ = git.call("config", "-z", "--name-only", "--get-regexp", r"^filter\.")
    found = {match[1] for key in out.decode(errors="surrogateescape").split("\0") if (match := _FILTER.fullmatch(key))}
    off = {"smudge": "", "clean": "", "process": "", "required": "false"}
    return {f"filter.{name}.{key}": value for name in found for key, value in off.items()}


def _boot() -> str:
    """Names the time since the machine started: what was written before may be missing after a power loss."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold a lock file; gives its descriptor."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _read_leases(path: Path) -> dict[str, Lease]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Lease])
    except (FileNotFoundError, msgspec.DecodeError):  # damaged by a power loss, after which nobody holds anything
        return {}


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(path)
