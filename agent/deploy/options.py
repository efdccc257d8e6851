"""What stands under `deploy:` besides `to` and `strategy`, checked."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import msgspec

from agent.definition.values import duration
from agent.deploy.appspec import Exists
from agent.deploy.waves import Pace
from agent.errors import DefinitionError
from agent.model.value import Value

Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Health(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A check on the host: exactly one of `url` (2xx and 3xx are well), `command` (exit code 0), `port` (somebody listens).

    `{slot}` and `{port}` in a url stand for those of the slot that is checked.
    """

    url: str = ""
    command: str = ""
    port: int = 0
    retries: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 15
    interval: str = "2s"
    timeout: str = "5s"


class Options(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Durations and amounts are texts here; the properties and `pace` read them."""

    path: str = ""  # the application's directory on the host; default /srv/<application>
    application: str = ""  # default: the name of the pipeline
    keep: Count = 5
    shared: tuple[str, ...] = ()  # paths in a release that lead to <path>/shared
    batch: str = ""
    minimum_healthy: str = ""
    canary: str = ""
    zones: bool = False
    bake: str = ""
    health: Health | None = None
    appspec: str = ""  # its path in the release
    before: str = ""
    start: str = ""
    stop: str = ""
    after: str = ""
    switch: str = ""  # blue-green: tells a proxy, with SLOT and PORT
    slots: Mapping[str, int] = {}  # blue-green: a port for each of two slots
    drain: str = ""  # blue-green: between the switch and the end of the old slot
    script_timeout: str = "10m"  # of each plain script
    rollback: bool = True
    file_exists_behavior: Exists | None = None
    ignore_stop_failure: bool = True
    lock_timeout: str = "1m"

    def pace(self, strategy: str) -> Pace:
        """What of this is the business of waves."""
        return Pace(
            strategy=strategy,
            batch=self.batch,
            minimum=self.minimum_healthy,
            canary=self.canary,
            bake=span(self.bake, "bake"),
            zones=self.zones,
        )


def read(given: Mapping[str, object]) -> Options:
    """Check the mapping of a pipeline file, whose scalars are texts. Raises DefinitionError that names the key."""
    try:
        options = msgspec.convert(given, Options, strict=False)
    except msgspec.ValidationError as error:
        raise DefinitionError(f"deploy: {error}", hint=f"keys are {', '.join(Options.__struct_fields__)}") from error
    for key in ("bake", "drain", "script_timeout", "lock_timeout"):
        span(getattr(options, key), key)
    _check_path(options)
    _check_health(options.health)
    _check_slots(options)
    return options


def span(text: str, key: str) -> timedelta:
    """A duration such as 90s or 5m; nothing is no time. Raises DefinitionError that names the key."""
    if not text or text == "0s":
        return timedelta()
    try:
        return duration(text)
    except ValueError as error:
        raise DefinitionError(f"deploy: {key} {text!r} is no duration", hint="write 90s, 5m or 1h30m") from error


def _check_path(options: Options) -> None:
    if options.path and (not options.path.startswith("/") or options.path.strip("/") == ""):
        raise DefinitionError(f"deploy: path {options.path!r} is not an absolute directory", hint="such as /srv/web")
    for path in (options.path, options.application, *options.shared, options.appspec):
        if ".." in path.split("/") or {"\n", "\0"} & set(path):
            raise DefinitionError(f"deploy: {path!r} leads out of its directory")
    if "/" in options.application:
        raise DefinitionError(f"deploy: application {options.application!r} is no name")
    for path in (*options.shared, options.appspec):
        if path.startswith("/"):
            raise DefinitionError(f"deploy: {path!r} must be relative to the release")


def _check_health(health: Health | None) -> None:
    if health is None:
        return
    if sum(map(bool, (health.url, health.command, health.port))) != 1:
        raise DefinitionError("deploy: health is exactly one of `url`, `command`, `port`")
    span(health.interval, "health.interval")
    span(health.timeout, "health.timeout")


def _check_slots(options: Options) -> None:
    if options.slots and len(options.slots) != 2:
        raise DefinitionError("deploy: slots are two names with a port each", hint="slots: {blue: 8081, green: 8082}")
    if not all(name.isalnum() for name in options.slots):
        raise DefinitionError("deploy: names of slots are letters and digits")
    if options.appspec and options.slots:
        raise DefinitionError("deploy: `slots` go with plain scripts; an appspec has its own places")
