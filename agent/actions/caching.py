"""The caches of one attempt: found before the script, shown to it as private directories, saved when it succeeded.

A cache that does not work is told in the log and never fails an action.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from agent.actions.base import Attempt, Context
from agent.actions.environment import HOME
from agent.artifacts import cache
from agent.artifacts.base import ArtifactError
from agent.artifacts.cache import Claim, Wanted
from agent.artifacts.target import Parts, Target, parts_of
from agent.errors import EnvironmentFault
from agent.executors.base import Job, LogSink, Places
from agent.model.plan import Cache, Run


class Used(NamedTuple):
    """A cache in use: its claim, and the private directories in the order of its paths."""

    cache: Cache
    claim: Claim
    directories: tuple[Path, ...]


def use(attempt: Attempt, work: Run, workspace: Path, context: Context) -> tuple[Used, ...]:
    """Find the caches and make the private directories. The same attempt gets the same ones again."""
    if not attempt.action.cache:
        return ()
    if work.hosts:
        context.log.notice("caches are not used on hosts")
        return ()
    return tuple(_use(attempt, work, workspace, context))


def show(used: tuple[Used, ...], job: Job, places: Places, log: LogSink) -> dict[str, str]:
    """Let the job see the directories: the mounts it needs, or none where it runs on this very machine, as links will do there.

    Raises ArtifactError for a path that leads out of where it belongs.
    """
    wanted = _mounts(used, job, places)
    if not _is_here(job, places):
        return wanted
    for directory, destination in wanted.items():
        if not _link(job, directory, destination):
            log.notice(f"the cache {destination} is not used: it has to be a free place in the workspace or in HOME")
    return {}


def hide(used: tuple[Used, ...], job: Job, places: Places) -> None:
    """Take the links away again, so that what is collected does not depend on where the job ran. Harmless twice."""
    if not _is_here(job, places):
        return
    for directory, destination in _mounts(used, job, places).items():
        for root, parts in _within(job, destination):
            with suppress(ArtifactError, OSError), Target(root) as target:
                target.unlink(parts, directory)


def save(used: tuple[Used, ...], context: Context) -> None:
    """Keep what the script made of its caches. Harmless twice."""
    for one in used:
        try:
            if context.caches.save(one.claim, one.directories):
                context.log.notice(f"saved the cache of {', '.join(one.cache.paths)}")
        except (EnvironmentFault, OSError) as error:
            context.log.notice(f"the cache of {', '.join(one.cache.paths)} is not saved: {error}")


def release(used: tuple[Used, ...], context: Context) -> None:
    """Let go of the versions in use."""
    for one in used:
        context.caches.release(one.claim.holder)


def _use(attempt: Attempt, work: Run, workspace: Path, context: Context) -> Iterator[Used]:
    where = cache.scope(attempt.execution.ref, protected=context.trusted(attempt))
    for index, one in enumerate(attempt.action.cache):
        try:
            wanted = cache.wanted(one, workspace, f"{work.runner}\0{work.image}")
            claim = context.caches.claim(f"{attempt.id}-{index}", wanted, where, attempt.deadline)
            directories = tuple(_directory(attempt, claim, index, at, context) for at in range(len(one.paths)))
        except (EnvironmentFault, OSError) as error:
            context.log.notice(f"the cache of {', '.join(one.paths)} is not used: {error}")
            continue
        context.log.notice(_told(one, wanted, claim))
        yield Used(one, claim, directories)


def _directory(attempt: Attempt, claim: Claim, index: int, at: int, context: Context) -> Path:
    directory = context.layer(attempt, f"cache-{index}-{at}", context.caches.layers(claim, at))
    directory.chmod(0o777)  # the job may run as anybody; the directories above let nobody else in
    return directory


def _told(one: Cache, wanted: Wanted, claim: Claim) -> str:
    result = "found" if claim.exact else "an older one found" if claim.entry else "nothing kept yet"
    without = f" (no file matches {', '.join(wanted.missing)})" if wanted.missing else ""
    return f"cache of {', '.join(one.paths)}: {result}{without}"


def _mounts(used: tuple[Used, ...], job: Job, places: Places) -> dict[str, str]:
    pairs = ((directory, path) for one in used for directory, path in zip(one.directories, one.cache.paths, strict=True))
    return {str(directory): _destination(path, places.workspace, job.env.get("HOME", "")) for directory, path in pairs}


def _is_here(job: Job, places: Places) -> bool:
    return places.workspace == str(job.workspace)


def _link(job: Job, directory: str, destination: str) -> bool:
    for root, parts in _within(job, destination):
        with suppress(ArtifactError, OSError), Target(root) as target:
            target.link(parts, directory)
            return True
    return False


def _within(job: Job, destination: str) -> Iterator[tuple[Path, Parts]]:
    """The directory of the job that a place on this machine lies in, and the way from there; at most one."""
    for root in (job.workspace, job.control / HOME):
        if Path(destination).is_relative_to(root) and destination != str(root):
            yield root, parts_of(str(Path(destination).relative_to(root)))
            return


def _destination(path: str, workspace: str, home: str) -> str:
    if ".." in path.split("/"):
        raise ArtifactError(f"cache path {path!r}: '..' is not allowed")
    if path == "~" or path.startswith("~/"):
        return f"{home}/{path[1:].strip('/')}".rstrip("/")
    if path.startswith("/"):
        return path
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if not parts:
        raise ArtifactError(f"cache path {path!r}: the whole workspace cannot be a cache")
    return "/".join([workspace, *parts])
