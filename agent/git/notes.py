"""Writes and reads notes: compare-and-swap, durable, at a cost that does not grow with their number.

Neither `git notes` nor dulwich's own notes survive two writers, and dulwich's cost grows with the number of notes.
"""

import fcntl
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import IO, Self
from weakref import finalize

from dulwich.errors import NotGitRepository, ObjectFormatException
from dulwich.file import FileLocked
from dulwich.objects import Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from agent.errors import EnvironmentFault
from agent.git.commits import parents
from agent.git.notestree import Node
from agent.git.objects import ObjectWriter, sync_directory

Change = Callable[[bytes | None], bytes | None]
Sign = Callable[[bytes], bytes]

COMMITTER = "git-pipeline <git-pipeline@localhost>"
STALE = 10.0  # seconds after which a lock on a ref is taken for one that a killed process left behind
PATIENCE = 60.0  # seconds to wait for others who move the ref

_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class _Missing(Exception):
    """An object that a ref reaches is not there."""


class Notes:
    """The notes of one bare repository. Safe from several threads, processes, and beside `git pack-refs` and `git gc`.

    `sign` gets the commit that a notes ref is moved to, as git would sign it, and returns the signature.
    """

    def __init__(self, git_dir: Path, committer: str = COMMITTER, sign: Sign | None = None) -> None:
        self._git_dir = git_dir.absolute()
        self._committer = committer.encode()
        self._sign = sign
        self._mutex = RLock()
        self._repo: Repo | None = None
        self._release: Callable[[], object] = lambda: None

    def edit(self, ref: str, changes: Mapping[str, Change], message: str, when: datetime) -> bool:
        """One commit on `ref` with all changes; False if they change nothing, and then there is no commit.

        A change gets the note of a commit (None: there is none; the commit itself need not exist) and returns the new one (None:
        none). It is called again where another writer came first. Raises EnvironmentFault.
        """
        with self._mutex, self._faults(ref), self._queue() as turn:
            deadline = time.monotonic() + PATIENCE
            while True:
                old = self._tip(ref)
                new = self._commit(old, changes, message, when)
                if new is None:
                    return False
                if self._swap(ref, old, new, turn):
                    return True
                if time.monotonic() > deadline:
                    raise EnvironmentFault(
                        f"{ref} in {self._git_dir} is held by another process", hint=f"look at {self._git_dir / ref}.lock"
                    )
                time.sleep(0.005)

    def read(self, ref: str, commit: str) -> bytes | None:
        """The note of a commit, or None."""
        with self._mutex, self._faults(ref):
            return self._read(self._root(self._tip(ref)), _key(commit))

    def history(self, ref: str) -> Iterator[bytes]:
        """The commits of the ref itself as they are stored, newest first. Raises EnvironmentFault."""
        with self._mutex, self._faults(ref):
            at = self._tip(ref)
        while at:
            with self._mutex, self._faults(ref):
                raw = self.content(at)
            yield raw
            at = next((parent.encode() for parent in parents(raw)), None)

    def commits(self, ref: str) -> tuple[str, ...]:
        """The ids of all commits that have a note."""
        with self._mutex, self._faults(ref):
            return tuple(name.decode() for name in self._root(self._tip(ref)).commits())

    def close(self) -> None:
        """Let go of the repository; the next call opens it again."""
        with self._mutex:
            self._release()
            self._repo = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _opened(self) -> Repo:
        if self._repo is None:
            self._repo = Repo(os.fspath(self._git_dir))
            self._release = finalize(self, self._repo.close)  # dulwich warns of what is still open at the end
            self._writer = ObjectWriter(self._git_dir / "objects", self._repo.object_format.name)
        return self._repo

    @contextmanager
    def _faults(self, ref: str) -> Iterator[None]:
        """What dulwich and the disk raise, told as a fault; the repository is opened anew the next time."""
        try:
            yield
        except (OSError, NotGitRepository, ObjectFormatException, zlib.error, _Missing) as error:
            self.close()
            raise EnvironmentFault(
                f"cannot use {ref} in {self._git_dir}: {error}", hint="look at the disk, and run `git fsck` there"
            ) from error

    @contextmanager
    def _queue(self) -> Iterator[IO[bytes]]:
        """Our own writers take turns; the kernel frees the turn of a killed one."""
        directory = self._git_dir / "pipeline"
        directory.mkdir(exist_ok=True)
        with (directory / "notes.lock").open("ab") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield turn

    def _tip(self, ref: str) -> bytes | None:
        return self._opened.refs.read_ref(Ref(ref.encode()))

    def _root(self, tip: bytes | None) -> Node:
        if tip is None:
            return Node(self, width=self._opened.object_format.oid_length)
        commit = Commit.from_string(self.content(tip))
        return Node(self, commit.tree, self._opened.object_format.oid_length)

    def content(self, oid: bytes) -> bytes:
        """For `Node`: the content of an object."""
        try:
            return self._opened.object_store.get_raw(ObjectID(oid))[1]
        except KeyError as error:
            raise _Missing(f"object {oid.decode()} is missing") from error

    def put(self, kind: bytes, content: bytes) -> bytes:
        """For `Node`: store an object."""
        return self._writer.put(kind, content)

    def _read(self, root: Node, key: bytes) -> bytes | None:
        """A note; where there are two for one commit, both, as `git notes` shows them."""
        bodies = [self.content(blob) for blob in root.find(key)]
        return b"\n\n".join([*(body.removesuffix(b"\n") for body in bodies[:-1]), bodies[-1]]) if bodies else None

    def _commit(self, old: bytes | None, changes: Mapping[str, Change], message: str, when: datetime) -> bytes | None:
        """The commit with all changes on top of `old`, written; None if it would change nothing."""
        root, changed = self._root(old), False
        for commit, change in changes.items():
            key = _key(commit)
            before = self._read(root, key)
            after = change(before)
            if after != before:
                changed = True
                root.remove(key)
                if after is not None:
                    root.insert(key, self.put(b"blob", after))
        return self._describe(old, root.write() or self.put(b"tree", b""), message, when) if changed else None

    def _describe(self, old: bytes | None, tree: bytes, message: str, when: datetime) -> bytes:
        commit = Commit()
        commit.tree = ObjectID(tree)
        commit.parents = [ObjectID(old)] if old else []
        commit.author = commit.committer = self._committer
        commit.author_time = commit.commit_time = int(when.timestamp())
        offset = when.utcoffset()
        commit.author_timezone = commit.commit_timezone = int(offset.total_seconds()) if offset else 0
        commit.encoding = None
        commit.message = message.encode() if message.endswith("\n") else message.encode() + b"\n"
        commit.object_format = self._opened.object_format
        if self._sign:
            commit.gpgsig = self._sign(commit.as_raw_string())
        return self.put(b"commit", commit.as_raw_string())

    def _swap(self, ref: str, old: bytes | None, new: bytes, turn: IO[bytes]) -> bool:
        """Move the ref if it is still at `old`; False if not, or if somebody holds its lock."""
        zero = b"0" * 40  # what dulwich takes for "must not exist", whatever the format; None would be unconditional
        try:
            moved = self._opened.refs.set_if_equals(Ref(ref.encode()), ObjectID(old or zero), ObjectID(new))
        except FileLocked:
            self._break_stale(self._git_dir / f"{ref}.lock", turn)
            return False
        if moved:
            sync_directory((self._git_dir / ref).parent)
        return moved

    def _break_stale(self, lock: Path, turn: IO[bytes]) -> None:
        """Remove a lock that is too old to be held. Both times are the file system's, so no clock can be wrong."""
        os.utime(turn.fileno())
        try:
            if os.fstat(turn.fileno()).st_mtime - lock.stat().st_mtime > STALE:
                lock.unlink()
        except FileNotFoundError:
            pass


def _key(commit: str) -> bytes:
    if not _OID.fullmatch(commit):
        raise ValueError(f"{commit!r} is not the id of a commit")
    return commit.encode()
