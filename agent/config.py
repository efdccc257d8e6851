"""The operator's configuration: `<repo>.git/pipeline/config.toml` over `/etc/git-pipeline/config.toml`.

It alone says what pushes may do; nothing in it comes from a push. A missing file means safe defaults:
Docker only, no secrets, no hosts.
"""

import difflib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

import tomli
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import ConfigError


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Docker(Section):
    """What containers may be and have; numbers are the most an action may ask for, and the default."""

    host: str = ""  # as DOCKER_HOST; empty: the engine's usual socket
    images: tuple[str, ...] = ("*",)
    memory: int = 2 * 1024**3  # bytes
    cpus: float = 2.0
    pids: int = 1024
    network: bool = True  # whether an action may ask for it


class Local(Section):
    """Processes on the agent's own machine: off unless the operator says otherwise."""

    enabled: bool = False
    pipelines: tuple[str, ...] = ("*",)


class Logs(Section):
    """Caps in bytes: what one action may write to disk, and how much of it goes into the note."""

    disk: int = 1024**3
    note: int = 1024**2


class Retention(Section):
    """What `git pipeline gc` keeps."""

    artifacts: timedelta = timedelta(days=30)
    executions: timedelta = timedelta(days=90)
    caches: timedelta = timedelta(days=14)
    cache_size: int = 10 * 1024**3  # bytes of all caches together; the least recently used go first


class Person(Section):
    """Someone who may decide: public keys (`ssh-… AAAA…` or `openpgp:FINGERPRINT`) and roles."""

    keys: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    email: str = ""


class Config(Section):
    """The whole file."""

    concurrency: Annotated[int, Field(ge=1)] = 4
    machine_concurrency: Annotated[int, Field(ge=0)] = 0  # actions at once over all repositories of the machine; 0: no limit
    linger: timedelta = timedelta(seconds=20)
    protected: tuple[str, ...] = ()
    docker: Docker = Docker()
    local: Local = Local()
    logs: Logs = Logs()
    retention: Retention = Retention()
    people: Mapping[str, Person] = {}


def parse(layers: Mapping[str, bytes]) -> Config:
    """Merge TOML files, by path from the weakest to the strongest, table by table; raises ConfigError with every mistake."""
    merged: dict[str, Any] = {}
    for path, text in layers.items():
        try:
            _merge(merged, tomli.loads(text.decode()))
        except (UnicodeDecodeError, tomli.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, " over ".join(reversed(list(layers)))))) from error


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _explain(error: ValidationError, where: str) -> Iterator[str]:
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), Config.model_fields, 1)
            yield f"{where}: unknown key {path}" + (f", did you mean {near[0]}?" if near else "")
        else:
            yield f"{where}: {path}: {problem['msg']}"
