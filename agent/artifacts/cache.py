"""Directories kept between executions: by what they are (`family`) and by the contents of the key files (`key`).

    <scope>/<family>/<key>.<time>/{entry.json, 0, 1, …}    one kept version of the directories; never changed once it stands there
    claims/<holder>.json                                   who uses which version, until when (the time of the file)
    incoming/<holder>                                      a version that is being saved

A job gets the directories as lower layers of private ones, so jobs side by side cannot disturb each other; what it made of them
becomes a new version by one rename. Scopes are by trust: what a protected ref reads, only protected refs have written.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.artifacts import tree
from agent.artifacts.copying import copy_tree
from agent.errors import EnvironmentFault
from agent.model.plan import Cache
from agent.model.value import Value

PROTECTED = "protected"
_ENTRY = "entry.json"


class Scope(NamedTuple):
    """Where an execution saves, and where it looks, in this order."""

    writes: str
    reads: tuple[str, ...]


class Wanted(NamedTuple):
    """What a `cache:` asks for. `fixed`: there are key files, so one version under a key is all there will ever be."""

    family: str
    key: str
    fixed: bool
    missing: tuple[str, ...]  # key files that are not there


class Claim(Value, frozen=True, kw_only=True):
    """What a holder got: the version at `entry` (relative to the store; empty: none), and where it may save a new one."""

    holder: str
    scope: str
    family: str
    key: str
    fixed: bool
    entry: str = ""
    exact: bool = False


class Entry(Value, frozen=True, kw_only=True):
    """What is known of a kept version; stands in its `entry.json`, whose time is that of its last use."""

    created_at: datetime
    size: int
    fingerprint: str


class Kept(NamedTuple):
    """A version as it lies in the store."""

    path: Path
    used_at: datetime
    size: int


def scope(ref: str, *, protected: bool) -> Scope:
    """The scope of a ref: an unprotected one reads what protected ones wrote, and writes only what it alone reads."""
    if protected:
        return Scope(PROTECTED, (PROTECTED,))
    own = f"unprotected/{hashlib.sha256(ref.encode()).hexdigest()[:16]}"
    return Scope(own, (own, PROTECTED))


def wanted(cache: Cache, workspace: Path, place: str) -> Wanted:
    """The family and the key of a `cache:` in this workspace; `place` tells runner and image, as their files do not mix.

    Raises EnvironmentFault if a key file cannot be read.
    """
    family = _hash(json.dumps([place, cache.key, list(cache.paths)]).encode())
    digest = hashlib.sha256(family.encode())
    selection = tree.Selection(cache.key_files)
    for found in tree.select(workspace, selection) if cache.key_files else ():
        content = _content(found) if found.is_file else found.target().encode() if found.is_link else b""
        digest.update(f"{found.name}\0".encode(errors="surrogateescape") + content)
    return Wanted(family, digest.hexdigest()[:40], bool(cache.key_files), selection.unused)


class CacheStore:
    """Keeps caches below `root`. Safe for several threads and processes; raises EnvironmentFault if the disk does not do."""

    def __init__(self, root: Path, now: Callable[[], datetime], sync: Callable[[], None] = os.sync) -> None:
        self._root = root
        self._now = now
        self._sync = sync

    def claim(self, holder: str, what: Wanted, where: Scope, until: datetime) -> Claim:
        """Find the version to use and keep it from being removed until then. A holder that asks again gets the same one.

        The very key comes first, in each scope; then the newest of the same family.
        """
        with self._locked():
            file = self._claim_file(holder)
            if file.exists():
                return msgspec.json.decode(file.read_bytes(), type=Claim)
            entry, exact = self._find(what, where)
            claim = Claim(
                holder=holder,
                scope=where.writes,
                family=what.family,
                key=what.key,
                fixed=what.fixed,
                entry=str(entry.relative_to(self._root)) if entry else "",
                exact=exact,
            )
            self._write_claim(claim, until)
            if entry:
                _touch(entry / _ENTRY, self._now())
            return claim

    def layers(self, claim: Claim, index: int) -> tuple[Path, ...]:
        """The directory that holds the `index`-th path of the version, or an empty one."""
        kept = self._root / claim.entry / str(index)
        if claim.entry and kept.is_dir():
            return (kept,)
        empty = self._root / "empty"
        empty.mkdir(parents=True, exist_ok=True)
        return (empty,)

    def save(self, claim: Claim, directories: Sequence[Path]) -> bool:
        """Make a new version of these directories, in the order of the paths. False if there is nothing new to keep."""
        if claim.exact and claim.fixed:
            return False
        mark = fingerprint(directories)
        if claim.exact and mark == self._entry(self._root / claim.entry).fingerprint:
            return False
        fresh = self._root / "incoming" / claim.holder
        try:
            self._fill(fresh, directories, mark)
            return self._place(claim, fresh)
        except OSError as error:
            raise EnvironmentFault(f"a cache cannot be saved: {error}", hint="is the disk full?") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def release(self, holder: str) -> None:
        """The holder needs its version no more. Safe twice, and for unknown holders."""
        self._claim_file(holder).unlink(missing_ok=True)

    def prune(self, age: timedelta, most: int, *, dry_run: bool = False) -> tuple[Kept, ...]:
        """Remove versions not used for that long, then the least recently used until all take at most `most` bytes.

        What a living claim names stays. Returns what went, or with `dry_run` would go.
        """
        with self._locked():
            claimed = self._claimed()
            kept = sorted(self._kept(), key=lambda one: one.used_at, reverse=True)
            going, total = [], 0
            for one in kept:
                total += one.size
                if one.path not in claimed and (one.used_at < self._now() - age or total > most):
                    going.append(one)
                    total -= one.size
            rubbish = [] if dry_run else [self._discard(one.path) for one in going] + self._leftovers()
        for path in rubbish:
            shutil.rmtree(path, ignore_errors=True)
        return tuple(going)

    def _find(self, what: Wanted, where: Scope) -> tuple[Path | None, bool]:
        versions = [version for name in where.reads for version in self._versions(name, what.family)]
        exact = [version for version in versions if version.name.startswith(what.key + ".")]
        return next(iter(exact or versions), None), bool(exact)

    def _versions(self, scope_name: str, family: str) -> list[Path]:
        """Newest first."""
        folder = self._root / scope_name / family
        return sorted(folder.glob("*.*"), key=lambda path: path.suffix, reverse=True)

    def _fill(self, fresh: Path, directories: Sequence[Path], mark: str) -> None:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        size = sum(copy_tree(directory, fresh / str(index)) for index, directory in enumerate(directories))
        entry = Entry(created_at=self._now(), size=size, fingerprint=mark)
        (fresh / _ENTRY).write_bytes(msgspec.json.encode(entry))
        _touch(fresh / _ENTRY, self._now())
        self._sync()  # or a power loss leaves a version with empty files that looks whole

    def _place(self, claim: Claim, fresh: Path) -> bool:
        with self._locked():
            family = self._root / claim.scope / claim.family
            family.mkdir(parents=True, exist_ok=True)
            former = [path for path in self._versions(claim.scope, claim.family) if path.name.startswith(claim.key + ".")]
            if former and claim.fixed:
                return False  # another job was quicker
            latest = max((int(path.suffix[1:]) for path in former), default=0)
            stamp = max(int(self._now().timestamp() * 1_000_000), latest + 1)
            fresh.rename(family / f"{claim.key}.{stamp:020d}")
            claimed = self._claimed(but=claim.holder)
            rubbish = [self._discard(path) for path in former if path not in claimed]
        for path in rubbish:
            shutil.rmtree(path, ignore_errors=True)
        return True

    def _discard(self, version: Path) -> Path:
        """Take a version out of everybody's sight at once; deleting it may take long and happens without the lock."""
        trash = self._root / "trash"
        trash.mkdir(exist_ok=True)
        gone = trash / f"{version.parent.name}-{version.name}-{version.stat().st_ino}"
        return version.rename(gone)

    def _leftovers(self) -> list[Path]:
        """What a killed agent left half made or half deleted, and the claims nobody lives on."""
        now = self._now()
        for file in (self._root / "claims").glob("*.json"):
            if _time(file) < now:
                file.unlink(missing_ok=True)
        stale = [path for path in (self._root / "incoming").glob("*") if _time(path) < now - timedelta(days=1)]
        return stale + list((self._root / "trash").glob("*"))

    def _kept(self) -> Iterator[Kept]:
        for pattern in (f"{PROTECTED}/*/*.*", "unprotected/*/*/*.*"):
            for path in self._root.glob(pattern):
                try:
                    yield Kept(path, _time(path / _ENTRY), self._entry(path).size)
                except (OSError, EnvironmentFault):  # damaged: nobody has used it for ever
                    yield Kept(path, datetime.min.replace(tzinfo=UTC), 0)

    def _claimed(self, but: str = "") -> set[Path]:
        now = self._now()
        files = [file for file in (self._root / "claims").glob("*.json") if _time(file) >= now]
        claims = [msgspec.json.decode(file.read_bytes(), type=Claim) for file in files]
        return {self._root / claim.entry for claim in claims if claim.entry and claim.holder != but}

    def _entry(self, version: Path) -> Entry:
        try:
            return msgspec.json.decode((version / _ENTRY).read_bytes(), type=Entry)
        except (OSError, msgspec.MsgspecError) as error:
            raise EnvironmentFault(f"the cache {version} is damaged: {error}", hint=f"remove the directory {version}") from error

    def _claim_file(self, holder: str) -> Path:
        return self._root / "claims" / f"{holder}.json"

    def _write_claim(self, claim: Claim, until: datetime) -> None:
        file = self._claim_file(claim.holder)
        file.parent.mkdir(exist_ok=True)
        staged = file.with_suffix(".new")
        staged.write_bytes(msgspec.json.encode(claim))
        _touch(staged, until)
        staged.replace(file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._root / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def fingerprint(directories: Sequence[Path]) -> str:
    """A hash of names, types, sizes, modes and times of all files: the same for an unchanged copy."""
    digest = hashlib.sha256()
    for directory in directories:
        digest.update(b"\0\0")
        for found in tree.walk(directory):
            status = found.status
            told = (found.target(),) if found.is_link else (status.st_size, status.st_mtime_ns, status.st_mode & 0o1777)
            digest.update(f"{found.name}\0{told}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _content(found: tree.Found) -> bytes:
    try:
        with os.fdopen(found.open(), "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise EnvironmentFault(f"the key file {found.name} of a cache cannot be read: {error}") from error


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:20]


def _time(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _touch(path: Path, at: datetime) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))
