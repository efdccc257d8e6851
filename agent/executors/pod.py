"""The services of a job: containers that share its loopback, or its network if it has one, and are ready before it starts."""

import time
from collections.abc import Callable

from agent.executors import container
from agent.executors.base import Ending, Job, LogSink
from agent.executors.engine import Engine, Refused
from agent.model.outcome import Reason
from agent.model.plan import Service

PROBE = 0.05  # seconds between two looks at a readiness command


def wait_ready(engine: Engine, job: Job, log: LogSink, due: Callable[[], object]) -> Ending | None:
    """None once all services are ready or the job is due to end; else why they are not. Each has its own `ready_timeout`."""
    began = time.monotonic()
    for service in job.services:
        problem = _wait(engine, container.name(job.id, service.name), service, began, due)
        if problem:
            for line in engine.tail(container.name(job.id, service.name), 20):
                log.notice(f"{service.name}: {line}")
            return problem
    return None


def _wait(engine: Engine, name: str, service: Service, began: float, due: Callable[[], object]) -> Ending | None:
    if not service.ready:
        return None
    end = began + service.ready_timeout.total_seconds()
    probe: str | None = None
    while not due():
        state = engine.inspect(name)
        if state is None or not state.is_running:
            how = f"with exit code {state.exit_code}" if state else "and is gone"
            return Ending(reason=Reason.EXIT, message=f"service {service.name} ended {how} before it was ready")
        if time.monotonic() >= end:
            return Ending(reason=Reason.TIMEOUT, message=_late(service))
        try:
            probe = probe or engine.execute(name, service.ready)
        except Refused:  # it just ended; the next look says so
            continue
        code = engine.executed(probe)
        if code == 0:
            return None
        probe = probe if code is None else None
        time.sleep(PROBE)
    return None


def _late(service: Service) -> str:
    seconds = service.ready_timeout.total_seconds()
    return f"service {service.name} was not ready within {seconds:g} s: `{service.ready}` did not exit with 0"
