"""Images built on an engine, and pushed from it: within the operator's limits, ended at once when asked, nothing left behind.

No label of ours goes into an image, so the same content makes the same image. What is ours is known by its name: a build in the
making has one that a sweep removes; what was built keeps another until `gc` removes it.
"""

import math
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

from agent.config import Docker
from agent.executors.build import BuildFailed, Due, Line, Order
from agent.executors.container import limits
from agent.executors.engine import Engine, EngineLost, Refused, Stream
from agent.model.plan import Resources

TICK = 0.1  # seconds between looks whether it must end
_SAME = {"aarch64": "arm64", "x86_64": "amd64"}
HOST = "localhost"  # no registry of another machine can be meant by it


class Images:
    """The Builder of one repository, on one engine."""

    def __init__(self, engine: Engine, repository: str, settings: Docker, cores: int) -> None:
        self._engine = engine
        self._settings = settings
        self._cores = cores
        self._built = f"{HOST}/git-pipeline-{repository.lower()}"
        self._making = f"{self._built}/making"

    def has(self, image: str) -> bool:
        """See Builder."""
        return self._engine.image(image) is not None

    def excludes(self, patterns: list[str]) -> Callable[[str], bool]:
        """See Builder."""
        return self._engine.excludes(patterns)

    def build(self, order: Order, line: Line, due: Due) -> str:
        """See Builder."""
        allowed = limits(Resources(), self._settings, self._cores)
        making = f"{self._making}:{order.attempt}"
        parameters: dict[str, Any] = {
            "tag": making,
            "dockerfile": order.dockerfile,
            "target": order.target or None,
            "buildargs": order.args,
            "labels": order.labels,
            "platform": order.platform or None,
            "network_mode": "default" if order.network else "none",
            "container_limits": {"memory": allowed.memory, "memswap": allowed.memory, "cpusetcpus": _cores(allowed.cpus)},
        }
        image = ""
        try:
            for event in _until(due, self._engine.build(order.context, parameters)):
                _tell(event, line)
                image = event.get("aux", {}).get("ID", image)
        except BuildFailed as fault:
            raise BuildFailed(f"{fault.message}{self._foreign(order.platform)}") from fault
        if due():
            self._engine.untag(making)
            return ""
        if not image:
            raise EngineLost("the Docker engine went away in the middle of a build")
        try:
            self._judge(image, order.platform)
            self._engine.tag(image, f"{self._built}:{order.attempt}")
        finally:
            self._engine.untag(making)
        return image

    def _judge(self, image: str, platform: str) -> None:
        """Raises BuildFailed if it is for another platform: an engine takes what it has to start from, whatever was asked for."""
        if platform and not _fits(found := self._engine.platform(image), platform):
            raise BuildFailed(f"what was built is {found} and not {platform}{self._foreign(platform)}")

    def _foreign(self, platform: str) -> str:
        """What a build for another platform than the engine's own needs."""
        own = self._engine.platform()
        if not platform or _fits(own, platform):
            return ""
        return (
            f" (the engine here is {own}: to build for {platform} it needs images of that platform to start from,"
            " and for RUN an emulator, binfmt_misc with qemu-user-static)"
        )

    def push(self, image: str, name: str, login: dict[str, str], line: Line, due: Due) -> str:
        """See Builder."""
        digest = ""
        self._engine.tag(image, name)
        try:
            for event in _until(due, self._engine.push(name, login)):
                _tell(event, line)
                digest = event.get("aux", {}).get("Digest", digest)
            if digest and f"{name.rpartition(':')[0]}@{digest}" not in self._engine.digests(image):
                raise BuildFailed(f"another build took the name {name} meanwhile", hint="give each of them a tag of its own")
        finally:
            self._engine.untag(name)
        if not digest and not due():
            raise EngineLost("the Docker engine went away in the middle of a push")
        return digest

    def sweep(self, keep: frozenset[str]) -> tuple[str, ...]:
        """Remove what builds left that were in the making, but for those of the executions to keep; what went."""
        return self._remove(self._making, keep)

    def forget(self, keep: frozenset[str], *, dry_run: bool = False) -> tuple[str, ...]:
        """Let go of what was built, but for that of the executions to keep; what went, or would."""
        return self._remove(self._built, keep, dry_run)

    def _remove(self, repository: str, keep: frozenset[str], dry_run: bool = False) -> tuple[str, ...]:
        tags = self._engine.tags(repository)
        names = [name for name in tags if name.rpartition(":")[2].partition("-")[0] not in keep]
        for name in () if dry_run else names:
            self._engine.untag(name)
        return tuple(f"image {name}" for name in names)


def _fits(found: str, asked: str) -> bool:
    """Whether a platform is the one asked for; of its variant, such as v8, not every image tells."""
    words = [_SAME.get(word, word) for word in asked.lower().split("/")]
    return words[:2] == found.split("/") or words == found.split("/")[1:]


def _cores(cpus: float) -> str:
    return f"0-{max(1, math.ceil(cpus)) - 1}"


def _until(due: Due, stream: Stream) -> Iterator[dict[str, Any]]:
    """The events of a stream, which is cut off once it is due to end."""
    over = Event()

    def watch() -> None:
        while not over.wait(TICK):
            if due():
                stream.close()
                return

    watching = Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield from stream
    except EngineLost:
        if not due():
            raise
    except Refused as refusal:
        raise BuildFailed(refusal.message) from refusal
    finally:
        over.set()
        watching.join()
        stream.close()


def _tell(event: dict[str, Any], line: Line) -> None:
    """What an event says, without the progress of transfers. Raises BuildFailed."""
    if "error" in event:
        raise BuildFailed(str(event["error"]).strip())
    said = event.get("stream") or (event.get("status", "") if not event.get("progressDetail") else "")
    for text in str(said).replace("\x1b[91m", "").replace("\x1b[0m", "").splitlines():
        if text.strip():
            line(f"{event['id']}: {text}" if event.get("id") else text)
