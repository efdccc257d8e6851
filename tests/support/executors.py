"""Executors by the identity of a repository, for suites that make them in a process of their own too."""

from agent.config import Docker
from agent.executors.docker import DockerExecutor
from agent.executors.dummy import DummyExecutor
from agent.executors.local import LocalExecutor
from tests.support.jobs import now

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nowhere"}


def docker(repository: str, host: str = "") -> DockerExecutor:
    return DockerExecutor(repository, Docker(host=host, memory=256 * 1024**2, pids=128), now, patience=30)


def local(repository: str) -> LocalExecutor:
    return LocalExecutor(repository, ENVIRONMENT, now)


def dummy(repository: str) -> DummyExecutor:
    return DummyExecutor(now)
