"""The contract of those who build images."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from agent.errors import EnvironmentFault
from agent.model.value import Value

Line = Callable[[str], None]
Due = Callable[[], bool]


class BuildFailed(EnvironmentFault):
    """What was to be built or pushed cannot be: the words of the build, of the engine or of the registry."""


class Order(Value, frozen=True, kw_only=True):
    """A build: `context` is a tar archive that has the Dockerfile `dockerfile`."""

    attempt: str
    context: Path
    dockerfile: str
    target: str = ""
    args: dict[str, str] = {}
    labels: dict[str, str] = {}
    platform: str = ""
    network: bool = False


class Builder(Protocol):
    """Called from several threads. Raises EngineLost, an EnvironmentFault, where the engine goes away."""

    def has(self, image: str) -> bool:
        """Whether an image is there."""

    def excludes(self, patterns: list[str]) -> Callable[[str], bool]:
        """Which names the lines of a .dockerignore leave out."""

    def build(self, order: Order, line: Line, due: Due) -> str:
        """The id of the image; empty if it was `due` to end, which also ends the build. Raises BuildFailed."""

    def push(self, image: str, name: str, login: dict[str, str], line: Line, due: Due) -> str:
        """Push an image under this name; its digest there, empty if it was `due` to end. Raises BuildFailed."""
