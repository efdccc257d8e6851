"""Jobs in containers, whatever the engine: started ahead where asked, found again by name after a crash, ended for certain.

The container of a job is held on its standard input until "go"; its first deed is a marker in the control directory. So it is
always certain whether the script ever ran: no marker, and the container is removed and made afresh; a marker, and it is followed,
read or lost.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from threading import Event, Lock

import msgspec

from agent.config import Docker
from agent.errors import EnvironmentFault
from agent.executors import container, pod, pull
from agent.executors.base import Ending, Job, LogSink, Places
from agent.executors.container import LABEL, Image
from agent.executors.engine import Engine
from agent.executors.follow import Follower, with_timings
from agent.executors.hold import Held, Holder, has_started
from agent.executors.images import Images
from agent.executors.watch import Watch
from agent.model.outcome import Reason

TRIES = 3


class ContainerExecutor:
    """Runs jobs on one engine for one repository, whose identity every container carries.

    `patience`: seconds to wait for an engine that went away under a job. `cores` of this machine bound the starts at one time.
    """

    def __init__(
        self,
        engine: Engine,
        repository: str,
        settings: Docker,
        now: Callable[[], datetime],
        *,
        cores: int = 2,
        patience: float = 120,
    ) -> None:
        assert repository, "an empty repository identity would make every container ours"
        self.images = Images(engine, repository, settings, cores)
        self._engine = engine
        self._repository = repository
        self._holder = Holder(engine, repository, settings, cores)
        self._now = now
        self._patience = patience
        self._lock = Lock()
        self._ahead: dict[str, Future[Held | None]] = {}
        self._alone: set[str] = set()  # jobs that ran here without services: their container is all there is of them

    def place(self, job: Job) -> Places:
        """See Executor."""
        return Places(workspace=container.WORKSPACE, control=container.CONTROL, secrets=container.SECRETS)

    def prepare(self, job: Job) -> None:
        """Start the container and hold it. Never pulls, never raises for what `run` will tell better."""
        future: Future[Held | None] = Future()
        with self._lock:
            if job.id in self._ahead or has_started(job):
                return
            self._ahead[job.id] = future
        held = None
        try:
            images = {name: self._engine.image(name) for name in _names(job)}
            held = self._holder.hold(job, {name: image for name, image in images.items() if image})
        except (EnvironmentFault, KeyError):
            with suppress(EnvironmentFault):
                self._remove({LABEL + "job": job.id})
        finally:
            future.set_result(held)

    def run(self, job: Job, log: LogSink, stop: Event) -> Ending:
        """See Executor."""
        watch = Watch(job, stop, self._now())
        held = self._prepared(job)
        try:
            for _ in range(TRIES):
                ending = self._try(job, log, watch, held)
                if ending:
                    return ending
                held = None
        finally:
            if held:
                held.attachment.close()
            if not job.services:
                with self._lock:
                    self._alone.add(job.id)
        return Ending(reason=Reason.ENGINE, message=f"the container ended {TRIES} times before the script could start")

    def discard(self, job_id: str) -> None:
        """See Executor."""
        with self._lock:
            future = self._ahead.pop(job_id, None)
            is_alone = job_id in self._alone
            self._alone.discard(job_id)
        if future and (held := future.result()):
            held.attachment.close()
        if is_alone:  # spares the engine two listings
            self._engine.remove("container", container.name(job_id))
        else:
            self._remove({LABEL + "job": job_id})

    def sweep(self, keep: frozenset[str]) -> tuple[str, ...]:
        """See Executor."""
        return self._remove({}, keep) + self.images.sweep(keep)

    def _remove(self, labels: dict[str, str], keep: frozenset[str] = frozenset()) -> tuple[str, ...]:
        assert self._repository
        removed = []
        for found in self._engine.found({LABEL + "repository": self._repository} | labels):
            execution = found.labels.get(LABEL + "execution", "")
            if execution not in keep:
                self._engine.remove(found.kind, found.name)
                removed.append(f"{found.kind} {found.name} of execution {execution}")
        return tuple(removed)

    def _prepared(self, job: Job) -> Held | None:
        with self._lock:
            future = self._ahead.pop(job.id, None)
        held = future.result() if future else None
        if held and msgspec.structs.replace(held.job, deadline=job.deadline) != job:
            held.attachment.close()
            return None
        return held

    def _try(self, job: Job, log: LogSink, watch: Watch, held: Held | None) -> Ending | None:
        """The ending, or None if nothing of the script has run and it is worth another try."""
        follower = Follower(self._engine, job, log, watch, self._patience)
        if has_started(job):
            return follower.resume()
        if ending := watch.ending():
            return ending
        began = time.monotonic()
        images = {} if held else self._images(job, log, watch)
        if isinstance(images, Ending):
            return watch.ending() or images
        pulled = time.monotonic()
        held = held or self._holder.hold(job, images, log)
        if held is None:
            return None
        try:
            ending = self._go(job, log, watch, held, follower)
        finally:
            held.attachment.close()
        return ending and with_timings(ending, image=pulled - began, start=max(0.0, follower.went_at - pulled))

    def _images(self, job: Job, log: LogSink, watch: Watch) -> dict[str, Image] | Ending:
        images = {}
        for name in _names(job):
            image = pull.ensure(self._engine, name, log, lambda: watch.due)
            if isinstance(image, Ending):
                return image
            images[name] = image
        return images

    def _go(self, job: Job, log: LogSink, watch: Watch, held: Held, follower: Follower) -> Ending | None:
        problem = pod.wait_ready(self._engine, job, log, lambda: watch.due) or watch.ending()
        if problem:
            return problem
        held.attachment.go()
        return follower.follow(held.image, held.attachment.chunks())


def _names(job: Job) -> list[str]:
    return list(dict.fromkeys([job.image, *(service.image for service in job.services)]))
