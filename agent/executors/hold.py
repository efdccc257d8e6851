"""From nothing to a container that waits for "go", with its services beside it."""

import os
import time
from collections.abc import Mapping
from threading import BoundedSemaphore

from agent.config import Docker
from agent.executors import container
from agent.executors.base import Job, LogSink
from agent.executors.container import LABEL, Image
from agent.executors.engine import Attachment, Engine, Taken
from agent.executors.watch import private_file
from agent.model.value import Value

SETTLE = 10.0  # seconds for a container that a worker who is gone may have told to run
ROOT = {"", "0", "root", "0:0", "root:root"}


class Held(Value, frozen=True, kw_only=True):
    """A container that waits for "go"."""

    job: Job
    image: Image
    attachment: Attachment


def has_started(job: Job) -> bool:
    """True from the moment the script may have done something."""
    return os.path.lexists(job.control / container.STARTED)


class Holder:
    """Creates and starts containers, as many at once as the machine takes well."""

    def __init__(self, engine: Engine, repository: str, settings: Docker, cores: int) -> None:
        self._engine = engine
        self._repository = repository
        self._settings = settings
        self._starts = BoundedSemaphore(2 * cores)

    def hold(self, job: Job, images: Mapping[str, Image], log: LogSink | None = None) -> Held | None:
        """Create, attach, start; None if it turns out that the script runs already. Raises KeyError if an image is not given."""
        image = images[job.image]
        _fill_control(job, image, log)
        network = self._network(job)
        name = container.name(job.id)
        config = container.action(job, image, self._limits(job), self._labels(job), network)
        try:
            self._engine.create(name, config)
        except Taken:
            if not self._clear(job):
                return None
            return self.hold(job, images, log)
        attachment = self._engine.attach(name)
        try:
            self._start(name)
            for service in job.services:
                named = container.name(job.id, service.name)
                given = images[service.image]
                self._engine.create(named, container.service(job, service, given, self._limits(job), self._labels(job), network))
                self._start(named)
        except BaseException:
            attachment.close()
            raise
        return Held(job=job, image=image, attachment=attachment)

    def _start(self, name: str) -> None:
        with self._starts:
            self._engine.start(name)

    def _limits(self, job: Job) -> container.Limits:
        return container.limits(job.resources, self._settings, self._engine.cores())

    def _labels(self, job: Job) -> dict[str, str]:
        return container.labels(self._repository, job)

    def _network(self, job: Job) -> str:
        if not (job.network and self._settings.network):
            return ""
        if not job.services:
            return "bridge"
        self._engine.create_network(container.name(job.id), self._labels(job))
        return container.name(job.id)

    def _clear(self, job: Job) -> bool:
        """Remove what stands under our name; False if it runs the script: "go" may have been on its way when its worker died."""
        end = time.monotonic() + SETTLE
        while not has_started(job) and time.monotonic() < end:
            state = self._engine.inspect(container.name(job.id))
            if state is None or not state.is_running:
                break
            time.sleep(0.02)
        if has_started(job):
            return False
        for found in self._engine.found({LABEL + "repository": self._repository, LABEL + "job": job.id}):
            self._engine.remove(found.kind, found.name)
        return not has_started(job)


def _fill_control(job: Job, image: Image, log: LogSink | None) -> None:
    private_file(job.control / container.SCRIPT, job.script.encode(), 0o755)
    private_file(job.control / container.HOSTS, container.hosts(job.services).encode(), 0o644)
    user = job.user or image.user
    if user in ROOT:
        return
    # Their parents are ours alone, so nobody else on this machine gets in.
    job.control.chmod(0o777)
    for directory, _, _ in os.walk(job.workspace):  # no file: an overlay would copy each of them
        os.chmod(directory, 0o777)  # noqa: PTH101 - there may be thousands
    if log:
        log.notice(f"runs as {user}: it can add, replace and remove files anywhere, but not write into those of the checkout")
