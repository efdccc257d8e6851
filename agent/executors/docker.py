"""Jobs in Docker: the engine as the Docker SDK reaches it.

The only home of the SDK, which is loaded when first used, as it costs 150 ms.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from agent.config import Docker
from agent.executors.container import Config, Image
from agent.executors.containers import ContainerExecutor
from agent.executors.engine import Attachment, EngineLost, Found, Refused, State, Stream, Taken

if TYPE_CHECKING:
    from docker import APIClient

USUAL = "unix:///var/run/docker.sock"
CHUNK = 256 * 1024
HEADER = 8  # of a frame: stream, three zeros, length
SECONDS = 120  # an engine under load takes its time
HINT = "start it (`systemctl start docker`), or see [docker] host in config.toml; `docker version` tells whether it answers"


class Absent(Refused):
    """There is nothing of this name."""


class DockerExecutor(ContainerExecutor):
    """The executor `docker`. `repository` is the identity that every container carries; `close` lets go of the engine."""

    def __init__(
        self, repository: str, settings: Docker, now: Callable[[], datetime], *, cores: int = 2, patience: float = 120
    ) -> None:
        self.engine = DockerEngine(settings.host)
        super().__init__(self.engine, repository, settings, now, cores=cores, patience=patience)

    def connect(self) -> None:
        """Load the SDK and reach the engine, so that the first job need not; raises EngineLost with what to do."""
        self.engine.cores()

    def close(self) -> None:
        """Close the connections. The executor may be used again."""
        self.engine.close()


class SocketAttachment:
    """A hijacked connection: frames come out, "go" goes in."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - the SDK does not type it
        self._response = raw._response  # keeps the connection open
        self._socket: socket.socket = raw._sock
        self._socket.settimeout(None)

    def chunks(self) -> Iterable[bytes]:
        """See Attachment."""
        return unframed(self._receive)

    def go(self) -> None:
        """See Attachment."""
        with suppress(OSError):
            self._socket.sendall(b"go\n")

    def close(self) -> None:
        """See Attachment."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._response.close()
        self._socket.close()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(CHUNK)
        except OSError:
            return b""


class EventStream:
    """See Stream. On a connection of its own, with no limit to the time between two events."""

    def __init__(self, host: str | None, what: str, ask: Callable[["APIClient"], Iterable[dict[str, Any]]]) -> None:
        self._host = host
        self._what = what
        self._ask = ask
        self._lock = Lock()
        self._answer: Any = None
        self._is_closed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """See Stream."""
        with _told(self._host, self._what):
            client = _client(self._host, SECONDS)
            client.timeout = None  # type: ignore[assignment]
            client.hooks["response"].append(self._answered)  # the SDK gives the events away, and keeps the answer
            try:
                yield from self._ask(client)
            finally:
                if self._answer is not None:
                    self._answer.close()
                client.close()

    def close(self) -> None:
        """See Stream."""
        from docker.types.daemon import CancellableStream

        with self._lock:
            self._is_closed = True
            if self._answer is not None:
                with suppress(OSError, AttributeError):
                    CancellableStream(iter(()), self._answer).close()

    def _answered(self, answer: Any, *_: object, **__: object) -> None:  # noqa: ANN401 - of requests
        with self._lock:
            self._answer = None if answer.request.method == "GET" else answer
            is_late = self._is_closed
        if is_late:
            self.close()


class DockerEngine:
    """See Engine. `host` as DOCKER_HOST; empty for the usual socket."""

    def __init__(self, host: str) -> None:
        self._host = host or None
        self._lock = Lock()
        self._client: APIClient | None = None
        self._cores = 0

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            if self._client:
                self._client.close()
            self._client = None

    def cores(self) -> int:
        """See Engine; asked once."""
        if not self._cores:
            with self._said("info") as api:
                self._cores = int(api.info()["NCPU"])
        return self._cores

    def platform(self, image: str = "") -> str:
        """See Engine."""
        with self._said(image or "version") as api:
            told = api.inspect_image(image) if image else api.version()
        return f"{told['Os']}/{told['Architecture' if image else 'Arch']}"

    def is_there(self) -> bool:
        """See Engine."""
        try:
            client = _client(self._host, timeout=5)
        except EngineLost:
            return False
        client.close()
        return True

    def image(self, name: str) -> Image | None:
        """See Engine."""
        found: dict[str, Any] = {}
        with suppress(Absent), self._said(name) as api:
            found = api.inspect_image(name)
        if not found:
            return None
        digests = found.get("RepoDigests") or [found["Id"]]
        return Image(id=found["Id"], reference=digests[0], user=(found.get("Config") or {}).get("User") or "")

    def pull(self, name: str) -> Iterator[str]:
        """See Engine."""
        with self._said(name) as api:
            repository, tag = _parsed(name)
            for event in api.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise Refused(event["error"])
                yield " ".join(str(event[key]) for key in ("id", "status", "progress") if event.get(key))

    def create(self, name: str, config: Config) -> None:
        """See Engine."""
        with self._said(name) as api:
            api.create_container_from_config(config, name)

    def attach(self, name: str) -> Attachment:
        """See Engine."""
        with self._said(name) as api:
            return SocketAttachment(api.attach_socket(name, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}))

    def start(self, name: str) -> None:
        """See Engine."""
        with self._said(name) as api:
            api.start(name)

    def follow(self, name: str) -> Iterator[bytes]:
        """See Engine."""
        with self._said(name) as api:
            stream = api.logs(name, stdout=True, stderr=True, stream=True, follow=True)
        try:
            yield from stream
        finally:
            with suppress(OSError, AttributeError):
                stream.close()

    def inspect(self, name: str) -> State | None:
        """See Engine."""
        found: dict[str, Any] = {}
        with suppress(Absent), self._said(name) as api:
            found = api.inspect_container(name)
        if not found:
            return None
        state = found["State"]
        return State(
            status=state["Status"], exit_code=state["ExitCode"], out_of_memory=state["OOMKilled"], image=found.get("Image", "")
        )

    def kill(self, name: str, signal: str) -> None:
        """See Engine."""
        with suppress(Absent, Taken), self._said(name) as api:
            api.kill(name, signal)

    def remove(self, kind: str, name: str) -> None:
        """See Engine."""
        if kind == "network":
            with suppress(Absent), self._said(name) as api:
                api.remove_network(name)
            return
        with suppress(Absent, Taken), self._said(name) as api:  # Taken: somebody else removes it right now
            api.remove_container(name, v=True, force=True)
            return
        while self.inspect(name):
            time.sleep(0.01)

    def execute(self, name: str, command: str) -> str:
        """See Engine."""
        with self._said(name) as api:
            created: str = api.exec_create(name, ["sh", "-c", command])["Id"]
            api.exec_start(created, detach=True)
        return created

    def executed(self, execution: str) -> int | None:
        """See Engine."""
        with self._said("exec") as api:
            found = api.exec_inspect(execution)
        return None if found["Running"] else int(found["ExitCode"] or 0)

    def tail(self, name: str, lines: int) -> list[str]:
        """See Engine."""
        with suppress(Absent), self._said(name) as api:
            text: bytes = api.logs(name, stdout=True, stderr=True, tail=lines)
            return text.decode(errors="replace").splitlines()
        return []

    def create_network(self, name: str, labels: dict[str, str]) -> None:
        """See Engine."""
        with self._said(name) as api:
            api.create_network(name, driver="bridge", labels=labels, check_duplicate=True)

    def found(self, labels: dict[str, str]) -> list[Found]:
        """See Engine."""
        assert labels
        assert all(labels.values()), "an empty label would find what is not ours"
        filters = {"label": [f"{key}={value}" for key, value in labels.items()]}
        with self._said("list") as api:
            containers = api.containers(all=True, filters=filters)
            networks = api.networks(filters=filters)
        return [
            *(Found(kind="container", name=each["Names"][0].lstrip("/"), labels=each["Labels"]) for each in containers),
            *(Found(kind="network", name=each["Name"], labels=each["Labels"] or {}) for each in networks),
        ]

    def build(self, context: Path, parameters: dict[str, Any]) -> Stream:
        """See Engine."""

        def ask(api: "APIClient") -> Iterator[dict[str, Any]]:
            with context.open("rb") as archive:
                fixed: dict[str, Any] = {"custom_context": True, "rm": True, "forcerm": True, "decode": True}
                yield from api.build(fileobj=archive, **fixed, **parameters)

        return EventStream(self._host, "the build", ask)

    def push(self, name: str, login: dict[str, str]) -> Stream:
        """See Engine."""
        repository, tag = _parsed(name)
        return EventStream(
            self._host, name, lambda api: api.push(repository, tag=tag, stream=True, decode=True, auth_config=login)
        )

    def tag(self, image: str, name: str) -> None:
        """See Engine."""
        with self._said(image) as api:
            api.tag(image, *_parsed(name), force=True)

    def untag(self, name: str) -> None:
        """See Engine."""
        with suppress(Absent, Taken), self._said(name) as api:  # Taken: a container runs it
            api.remove_image(name, noprune=True)

    def digests(self, image: str) -> list[str]:
        """See Engine."""
        with self._said(image) as api:
            return list(api.inspect_image(image)["RepoDigests"] or ())

    def tags(self, repository: str) -> list[str]:
        """See Engine."""
        with self._said("list") as api:
            found = api.images(repository)
        return [name for each in found for name in each["RepoTags"] or () if name.rpartition(":")[0] == repository]

    def excludes(self, patterns: list[str]) -> Callable[[str], bool]:
        """See Engine."""
        from docker.utils.build import PatternMatcher

        matcher = PatternMatcher(patterns)
        return lambda name: bool(matcher.matches(name))  # type: ignore[arg-type]

    @contextmanager
    def _said(self, what: str) -> Iterator[Any]:
        """A client; what it raises in the block is told in our words."""
        with _told(self._host, what):
            with self._lock:
                self._client = self._client or _client(self._host, SECONDS)
            yield self._client


def unframed(receive: Callable[[], bytes]) -> Iterator[bytes]:
    """The payloads of the engine's multiplexed stream, as they come; a frame cut off by its end is given as far as it came."""
    left, head = 0, b""
    while data := receive():
        while data:
            if left:
                yield data[:left]
                data, left = data[left:], max(0, left - len(data))
                continue
            need = HEADER - len(head)
            head, data = head + data[:need], data[need:]
            if len(head) == HEADER:
                left, head = int.from_bytes(head[4:], "big"), b""


@contextmanager
def _told(host: str | None, what: str) -> Iterator[None]:
    """What the SDK raises in the block is told in our words."""
    import docker.errors
    import urllib3.exceptions

    try:
        yield
    except docker.errors.NotFound as error:
        raise Absent(f"{what}: {error.explanation}") from error
    except docker.errors.APIError as error:
        kind = Taken if error.status_code == 409 else Refused
        raise kind(f"the Docker engine refuses {what}: {error.explanation}") from error
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise _away(host, error) from error


def _client(host: str | None, timeout: int) -> "APIClient":
    import docker
    import docker.errors

    try:
        _knock(host)
        return docker.APIClient(base_url=host, version="auto", timeout=timeout)
    except (docker.errors.DockerException, OSError) as error:
        raise _away(host, error) from error


def _knock(host: str | None) -> None:
    """Raise OSError if nobody answers at a socket of this machine; the SDK would leave its own socket open."""
    if host is None or host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as door:
            door.connect((host or USUAL).removeprefix("unix://"))


def _away(host: str | None, error: Exception) -> EngineLost:
    return EngineLost(f"the Docker engine at {host or 'its usual socket'} does not answer: {error}", hint=HINT)


def _parsed(name: str) -> tuple[str, str]:
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(name)
    return repository, tag or "latest"
