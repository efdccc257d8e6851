"""The SQLite file `state.db`: opened durable, every write in one IMMEDIATE transaction, every fault told in words.

WAL with synchronous=FULL: what a transaction committed survives kill -9 and power loss. Safe from several threads and processes.
"""

import os
import sqlite3
from _thread import RLock
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from agent.errors import EnvironmentFault
from agent.state.schema import MIGRATIONS, VERSION

TIMEOUT = 10.0  # seconds to wait for another writer

_HINTS = {
    "SQLITE_BUSY": "another process holds it; look for it with `fuser {path}`, then run `git pipeline resume`",
    "SQLITE_LOCKED": "another process holds it; look for it with `fuser {path}`, then run `git pipeline resume`",
    "SQLITE_FULL": "make room on the disk, then run `git pipeline resume`",
    "SQLITE_IOERR": "make room on the disk or look at the system's log for a failing one, then run `git pipeline resume`",
    "SQLITE_READONLY": "make the file and its directory writable for the user who runs git, then run `git pipeline resume`",
    "SQLITE_PERM": "make the file and its directory writable for the user who runs git, then run `git pipeline resume`",
    "SQLITE_CANTOPEN": "look at the owner and the mode of its directory; `git pipeline doctor` says what is wrong",
    "SQLITE_CORRUPT": "move it away (with its -wal and -shm files): what was published stands in git, what was in flight is lost",
    "SQLITE_NOTADB": "move it away (with its -wal and -shm files): what was published stands in git, what was in flight is lost",
}
_FALLBACK = "`git pipeline doctor` says what is wrong"


class Conflict(EnvironmentFault):
    """A row with this key is already there."""


class Transaction:
    """`with db.transaction():` - committed at the end, rolled back by an exception. One inside another belongs to it."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._database.end(failed=error is not None)


class Database:
    """An open state.db. Each method raises EnvironmentFault, with a hint, if the file cannot be read or written."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self.path = path
        self._connection = connection
        self._lock = RLock()
        self.alone = self._lock  # `with db.alone:` - no other thread reads or writes meanwhile; other processes do
        self._depth = 0

    def transaction(self) -> Transaction:
        """A block of reads and writes that happens whole or not at all, and that no other writer comes between."""
        return Transaction(self)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock:
            try:
                return self._connection.execute(sql, tuple(parameters)).fetchall()
            except sqlite3.Error as error:
                raise fault(error, self.path) from error

    def row(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def write(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement that changes rows, and say how many. Raises Conflict where a key is taken."""
        with self._lock:
            try:
                return self._connection.execute(sql, tuple(parameters)).rowcount
            except sqlite3.IntegrityError as error:
                raise Conflict(str(error)) from error
            except sqlite3.Error as error:
                raise fault(error, self.path) from error

    def write_many(self, sql: str, parameters: Sequence[Sequence[object]]) -> None:
        """Run one statement for many rows; best inside a transaction."""
        with self._lock:
            try:
                self._connection.executemany(sql, parameters)
            except sqlite3.IntegrityError as error:
                raise Conflict(str(error)) from error
            except sqlite3.Error as error:
                raise fault(error, self.path) from error

    def begin(self) -> None:
        self._lock.acquire()
        try:
            if self._depth == 0:
                self.rows("BEGIN IMMEDIATE")
            self._depth += 1
        except BaseException:
            self._lock.release()
            raise

    def end(self, *, failed: bool) -> None:
        try:
            self._depth -= 1
            if self._depth == 0 and self._connection.in_transaction:
                self._finish("ROLLBACK" if failed else "COMMIT")
        finally:
            self._lock.release()

    def _finish(self, statement: str) -> None:
        try:
            self.rows(statement)
        except EnvironmentFault:
            if statement == "COMMIT" and self._connection.in_transaction:
                self.rows("ROLLBACK")
            raise

    def check(self) -> str:
        """What SQLite itself finds wrong in the file; empty if nothing."""
        found = "\n".join(str(row[0]) for row in self.rows("PRAGMA quick_check(20)"))
        return "" if found == "ok" else found

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def open_database(path: str, *, timeout: float = TIMEOUT) -> Database:
    """Open or create the file, bring its tables up to date, and wait at most `timeout` seconds for other writers.

    Raises EnvironmentFault, with a hint, if it is damaged, locked, not writable, another user's, or made by a newer agent.
    """
    _refuse_if_anothers(path)
    try:
        connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise fault(error, path) from error
    database = Database(connection, path)
    try:
        database.rows("PRAGMA synchronous=FULL")
        _migrate(database)
    except BaseException:
        connection.close()
        raise
    return database


def _refuse_if_anothers(path: str) -> None:
    """Root may write everywhere, and what it leaves locks the owner out."""
    try:
        owner = os.stat(path).st_uid  # noqa: PTH116 - pathlib costs a push milliseconds
    except OSError:
        return  # is not there yet, or SQLite will say it
    if owner != os.geteuid():
        raise EnvironmentFault(
            f"{path} belongs to user {owner}, and this is user {os.geteuid()}: they could not use each other's files",
            hint=f"push and work as its owner: sudo -u '#{owner}' …",
        )


def open_existing(path: str) -> Database:
    """Open the file to look at it, without creating or changing anything. Raises EnvironmentFault."""
    try:
        connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=TIMEOUT, isolation_level=None)
    except sqlite3.Error as error:
        raise fault(error, path) from error
    return Database(connection, path)


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _migrate(database: Database) -> None:
    version = _version(database)
    if version == VERSION:
        return
    if version > VERSION:
        raise EnvironmentFault(
            f"{database.path} was written by a newer version of git-pipeline", hint="upgrade git-pipeline on this machine"
        )
    database.rows("PRAGMA journal_mode=WAL")  # kept in the file
    with database.transaction():
        for statements in MIGRATIONS[_version(database) :]:  # again: another process may have been quicker
            for statement in statements:
                database.write(statement)
        database.write(f"PRAGMA user_version={VERSION}")


def _version(database: Database) -> int:
    return int(database.rows("PRAGMA user_version")[0][0])


def fault(error: sqlite3.Error, path: str) -> EnvironmentFault:
    """The error of SQLite in words, with what to do about it."""
    name = str(getattr(error, "sqlite_errorname", "") or "")
    hint = next((text for code, text in _HINTS.items() if name.startswith(code)), _FALLBACK)
    return EnvironmentFault(f"{path}: {error}", hint=hint.format(path=path))
