"""More executions like one that really ran, written straight into `state.db`: thousands of pushes would take minutes."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from agent.model.ids import execution_id
from agent.state.database import Database, open_database
from agent.state.queue import Queue, Row
from tests.support.repo import Repo

_COLUMNS = "pipeline, number, commit_id, ref, status, created_at, started_at, ended_at"


def commits(server: Repo, number: int) -> list[str]:
    """So many further commits on the main branch of the bare repository, with the files of its head; oldest first."""
    head = server.git("rev-parse", "main", at=server.bare)
    lines = ["reset refs/heads/main", f"from {head}", ""]
    for index in range(number):
        lines += ["commit refs/heads/main", f"committer x <x@example.com> {1_700_000_000 + index} +0000", "data 1", "c"]
    server.git("fast-import", "--quiet", at=server.bare, stdin="\n".join([*lines, ""]).encode())
    return server.git("rev-list", "--reverse", f"{head}..main", at=server.bare).splitlines()


def queued(state: Path, further: Sequence[str]) -> None:
    """An execution of each of these commits, otherwise as the newest one, waiting behind it."""
    database = open_database(str(state))
    try:
        with database.transaction():
            queue = Queue(database)
            newest = queue.history(limit=1)[0]
            for commit in further:
                queue.enqueue({**json.loads(newest.body), "id": _new_id(), "commit": commit})
    finally:
        database.close()


def ended(state: Path, number: int) -> None:
    """So many executions that have ended as the newest one, with plan and journal."""
    database = open_database(str(state))
    try:
        with database.transaction():
            newest = Queue(database).history(limit=1)[0]
            journal = database.rows("SELECT seq, at, body FROM events WHERE execution = ? ORDER BY seq", (newest.id,))
            for further in range(1, number + 1):
                _copy(database, newest, newest.number + further, journal)
    finally:
        database.close()


def _copy(database: Database, like: Row, number: int, journal: list[tuple[object, ...]]) -> None:
    identity = _new_id()
    body = json.dumps({**json.loads(like.body), "id": identity, "number": number})
    database.write(
        f"INSERT INTO executions (id, body, plan, last_seq, published_seq, {_COLUMNS})"
        f" SELECT ?, ?, plan, last_seq, published_seq, {_COLUMNS.replace('number', '?')} FROM executions WHERE id = ?",
        (identity, body, number, like.id),
    )
    database.write_many(
        "INSERT INTO events (execution, seq, at, body) VALUES (?, ?, ?, ?)", [(identity, *row) for row in journal]
    )


_count = iter(range(1_800_000_000_000, 10**15))


def _new_id() -> str:
    return execution_id(next(_count), os.urandom(10))
