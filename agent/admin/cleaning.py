"""Removes what the retention rules no longer keep: executions, artifacts, caches. Tells what went."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.artifacts import retention
from agent.artifacts.base import ArtifactStore
from agent.artifacts.cache import CacheStore
from agent.artifacts.opening import Opening, open_store
from agent.artifacts.retention import Holding
from agent.aws.session import Sessions
from agent.config import Docker, Retention
from agent.errors import EnvironmentFault
from agent.execution.events import ActionEnded, Event, StageEnded
from agent.executors.images import Images
from agent.model.execution import Execution
from agent.model.meter import Meter, unseen
from agent.model.outcome import Status
from agent.settings import Artifacts
from agent.state.database import Database, open_database
from agent.state.journal import Journal
from agent.state.marks import Marks
from agent.state.policies import Policies
from agent.state.queue import ACTIVE, Queue, Row
from agent.workspaces.mounts import mounted
from agent.workspaces.trees import remove_tree

PAGE = 500


class Freed(NamedTuple):
    """Things of one kind that went, and their bytes."""

    what: str
    names: tuple[str, ...]
    size: int


def collect_garbage(
    directory: Path,
    rules: Retention,
    now: datetime,
    *,
    dry_run: bool,
    kept: Artifacts | None = None,
    docker: Docker | None = None,
    meter: Meter = unseen,
) -> Iterator[Freed]:
    """Apply the rules to `<repo>.git/pipeline` and the store of artifacts; safe beside a worker. Raises EnvironmentFault.

    `docker`: the engine on which images were built, if that is so.
    """
    database = open_database(str(directory / "state.db"))
    try:
        queue = Queue(database)
        rows = {row.id: row for row in _all(queue)}
        journal = Journal(database)
        holdings = tuple(_holding(row, journal) for row in meter("Reading executions", rows.values(), len(rows)))
        old = retention.executions(holdings, rules.executions, now)
        gone = _executions(directory, queue, rows, old, now, dry_run, meter)
        if not dry_run:
            Policies(database).forget()
        yield gone
        store = open_store(Opening(directory / "artifacts", kept or Artifacts(), Sessions()))
        yield _artifacts(store, holdings, rules, now, dry_run, meter)
        if not dry_run and (left := store.sweep(now - retention.FRESH)):
            yield Freed("leftovers of the store", left, 0)
        caches = CacheStore(directory / "cache", lambda: now).prune(rules.caches, rules.cache_size, dry_run=dry_run)
        names = tuple(f"{one.path.relative_to(directory)}, last used {one.used_at:%Y-%m-%d}" for one in caches)
        yield Freed("caches", names, sum(one.size for one in caches))
        if docker:
            holders = retention.holders(holdings, rules.artifacts, now)
            yield Freed("built images", _built(database, docker, holders, dry_run), 0)
    finally:
        database.close()


def _executions(
    directory: Path, queue: Queue, rows: dict[str, Row], old: tuple[str, ...], now: datetime, dry_run: bool, meter: Meter
) -> Freed:
    """Those the rules let go whose results stand in the notes, and directories that belong to no execution any more."""
    published = [name for name in old if rows[name].published_seq >= rows[name].last_seq]
    names, size = [], 0
    going = [*published, *_orphans(directory, rows, now)]
    for name in meter("Removing executions", going, len(going)):
        place = directory / "executions" / name
        if any(mounted(place)):  # deleting through a mount could reach what it shows
            continue
        size += _bytes_below(place)
        row = rows.get(name)
        names.append(f"{row.pipeline} #{row.number}" if row else f"{name}, which nobody knows")
        if not dry_run:
            _delete(place)
            queue.remove(name)
    return Freed("executions", tuple(names), size)


def _artifacts(
    store: ArtifactStore, holdings: tuple[Holding, ...], rules: Retention, now: datetime, dry_run: bool, meter: Meter
) -> Freed:
    going = retention.artifacts(holdings, store.stored(), rules.artifacts, now)
    counted = meter("Removing artifacts", going, len(going))
    gone = [one for one in counted if dry_run or store.remove(one.digest, before=now - retention.FRESH)]
    return Freed("artifacts", tuple(one.digest for one in gone), sum(one.size for one in gone))


def _built(database: Database, settings: Docker, holders: frozenset[str], dry_run: bool) -> tuple[str, ...]:
    from agent.executors.docker import DockerEngine

    engine = DockerEngine(settings.host)
    try:
        return Images(engine, Marks(database).get("identity"), settings, cores=1).forget(holders, dry_run=dry_run)
    finally:
        engine.close()


def _orphans(directory: Path, rows: dict[str, Row], now: datetime) -> Iterator[str]:
    for place in sorted((directory / "executions").glob("*")):
        age = now - datetime.fromtimestamp(place.stat().st_mtime, UTC)
        if place.name not in rows and age > timedelta(days=1):
            yield place.name


def _holding(row: Row, journal: Journal) -> Holding:
    try:
        events = [msgspec.json.decode(body, type=Event) for body in journal.read(row.id)]
        execution = msgspec.json.decode(row.body, type=Execution)
    except msgspec.MsgspecError as error:
        raise EnvironmentFault(
            f"the journal of {row.pipeline} #{row.number} cannot be read: {error}",
            hint="was it written by a newer git-pipeline? nothing more was removed",
        ) from error
    return Holding(
        execution=execution.id,
        pipeline=execution.pipeline,
        ended_at=None if row.status in ACTIVE else datetime.fromisoformat(row.ended_at or row.created_at),
        succeeded={one.stage: one.at for one in events if isinstance(one, StageEnded) and one.status is Status.SUCCEEDED},
        digests=tuple(artifact.digest for one in events if isinstance(one, ActionEnded) for artifact in one.outcome.artifacts),
        target=execution.rollback.target if execution.rollback else "",
    )


def _all(queue: Queue) -> Iterator[Row]:
    page = queue.history(limit=PAGE)
    while page:
        yield from page
        page = queue.history(before=page[-1].id, limit=PAGE)


def _delete(place: Path) -> None:
    try:
        remove_tree(place)
    except OSError as error:
        raise EnvironmentFault(f"{place} cannot be removed: {error}", hint="look at its owner and mode") from error


def _bytes_below(place: Path) -> int:
    return sum(file.lstat().st_size for file in place.rglob("*") if file.is_file() and not file.is_symlink())
