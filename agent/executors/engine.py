"""What the container executor asks of an engine, in words that know no SDK. `docker.py` is the one that answers."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from agent.errors import EnvironmentFault
from agent.executors.container import Config, Image
from agent.model.value import Value


class EngineLost(EnvironmentFault):
    """The engine cannot be reached, or stopped answering in the middle."""


class Refused(EnvironmentFault):
    """The engine answered, and said no."""


class Taken(Refused):
    """A container of this name exists."""


class State(Value, frozen=True, kw_only=True):
    """A container as the engine sees it. `status` is created, running, exited, dead, removing, paused or restarting."""

    status: str
    exit_code: int = 0
    out_of_memory: bool = False
    image: str = ""  # id

    @property
    def is_running(self) -> bool:
        return self.status in {"running", "paused", "restarting"}


class Found(Value, frozen=True, kw_only=True):
    """A container or network of ours: its kind in a word."""

    kind: str
    name: str
    labels: dict[str, str]


class Attachment(Protocol):
    """Both ends of a container that is held on its standard input."""

    def chunks(self) -> Iterable[bytes]:
        """Its output until it ends or the engine goes away; never raises."""

    def go(self) -> None:
        """Let it run. Silent if it is gone: the output says so."""

    def close(self) -> None:
        """Let go of it; a container that was not told to run ends by itself. Safe twice."""


class Stream(Protocol):
    """What the engine tells of a long request, as it comes. Raises as all calls do; EngineLost too where it was cut off."""

    def __iter__(self) -> Iterator[dict[str, Any]]: ...

    def close(self) -> None:
        """Cut it off, from any thread: the engine gives the request up. Safe twice."""


class Engine(Protocol):
    """All calls raise EngineLost if the engine is away and Refused if it says no. Called from several threads."""

    def cores(self) -> int: ...

    def platform(self, image: str = "") -> str:
        """Its own, such as linux/amd64, or that of an image."""

    def is_there(self) -> bool:
        """Ask over a new connection; never raises."""

    def image(self, name: str) -> Image | None: ...

    def pull(self, name: str) -> Iterator[str]:
        """Pull, and tell the progress in words. Raises Refused with the registry's reason."""

    def create(self, name: str, config: Config) -> None:
        """Raises Taken if the name is."""

    def attach(self, name: str) -> Attachment:
        """Before start only: attached to one that has ended, `chunks` would never end."""

    def start(self, name: str) -> None: ...

    def follow(self, name: str) -> Iterator[bytes]:
        """All output from its first byte until the container ends or the engine goes away; never raises while it streams."""

    def inspect(self, name: str) -> State | None:
        """None if there is no such container."""

    def kill(self, name: str, signal: str) -> None:
        """Send TERM or KILL; silent if it does not run."""

    def remove(self, kind: str, name: str) -> None:
        """Kill and remove a container with its volumes, or a network, and return when it is gone. Safe twice."""

    def execute(self, name: str, command: str) -> str:
        """Start a shell command in a running container; returns an id to ask for."""

    def executed(self, execution: str) -> int | None:
        """The exit code, or None while it runs."""

    def tail(self, name: str, lines: int) -> list[str]: ...

    def create_network(self, name: str, labels: dict[str, str]) -> None: ...

    def found(self, labels: dict[str, str]) -> list[Found]:
        """Containers, then networks, that carry all of these labels; asserts that there are some."""

    def build(self, context: Path, parameters: dict[str, Any]) -> Stream:
        """Build an image from a tar archive; what is left of a step is removed whatever happens. The `aux` has its `ID`."""

    def push(self, name: str, login: dict[str, str]) -> Stream:
        """Push what has this name, with `username` and `password` or as nobody. The `aux` has its `Digest`."""

    def tag(self, image: str, name: str) -> None:
        """Give an image one more name."""

    def untag(self, name: str) -> None:
        """Take a name away. An image without any goes, its layers stay for the next build. Safe twice."""

    def digests(self, image: str) -> list[str]:
        """Where an image is in registries, as `repository@digest`."""

    def tags(self, repository: str) -> list[str]:
        """The full names of the images in a repository."""

    def excludes(self, patterns: list[str]) -> Callable[[str], bool]:
        """Which names the lines of a .dockerignore leave out; asks nothing of the engine."""
