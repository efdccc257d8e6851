"""`deploy:`, key by key. A push is read by this model, and once more an action when its references are looked up."""

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from agent.definition.references import OPENING
from agent.definition.section import Section
from agent.definition.shape import wording
from agent.definition.values import Duration, Flag, Text, Whole, found, many, matching, problem, text
from agent.errors import DefinitionError
from agent.model import amount as model

Strategy = Literal[
    "all-at-once",
    "one-at-a-time",
    "half",
    "rolling",
    "canary",
    "blue-green",
    "CodeDeployDefault.AllAtOnce",
    "CodeDeployDefault.HalfAtATime",
    "CodeDeployDefault.OneAtATime",
]
Exists = Literal["DISALLOW", "OVERWRITE", "RETAIN"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
EXISTS: tuple[Exists, ...] = get_args(Exists)


def _amount(value: object) -> model.Amount:
    if isinstance(value, model.Amount):
        return value
    read = model.amount(str(value)) if isinstance(value, (str, int)) else None
    if read is None:
        raise problem("GP112", f"expected a number of hosts, found {found(value)}", "write 3, or 25%")
    return read


def _some(value: model.Amount) -> model.Amount:
    if not value.number:
        raise problem("GP106", "must be at least one host")
    return value


def _not_all(value: model.Amount) -> model.Amount:
    if value.percent and value.number == 100:
        raise problem("GP106", "must be less than 100%", "else no host could be taken out of service, and none be deployed to")
    return value


def _one_line(value: object) -> str:
    written = text(value)
    if {"\n", "\0"} & set(written):
        raise problem("GP113", "a path is a single line")
    return written


def _absolute(value: object) -> str:
    path = _one_line(value)
    if OPENING in path:
        return path
    if not path.startswith("/") or ".." in path.split("/") or not path.strip("/"):
        raise problem("GP113", f"{found(value)} is not an absolute path of a directory", "such as /srv/web")
    return path.rstrip("/")


def _inside(value: object) -> str:
    path = _one_line(value)
    if OPENING in path:
        return path
    clean = posixpath.normpath(path) if path else "."
    if path.startswith("/") or clean == "." or clean.split("/")[0] == "..":
        raise problem(
            "GP113", f"{found(value)} is not a path in the release", "paths are relative to it, such as config/app.conf"
        )
    return clean


def _name(value: object) -> str:
    written = _one_line(value)
    if not written or "/" in written or written in {".", ".."}:
        raise problem("GP109", f"{found(value)} is not a valid name of an application", "a text without `/`")
    return written


def _url(value: object) -> str:
    written = text(value)
    if OPENING not in written and not written.startswith(("http://", "https://")):
        raise problem("GP103", f"expected a URL, found {found(value)}", "such as http://127.0.0.1:8080/health")
    return written


def _two(value: Mapping[str, int]) -> Mapping[str, int]:
    if len(value) != 2 or len(set(value.values())) != 2:
        raise problem("GP103", "slots are two names, with a port for each", "slots: {blue: 8081, green: 8082}")
    return value


Amount = Annotated[
    model.Amount,
    PlainValidator(_amount),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "pattern": r"^\d{1,6}%?$", "examples": [3, "25%"]}),
]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Count = Annotated[Whole, Field(ge=1, le=1000)]
Absolute = Annotated[str, BeforeValidator(_absolute)]
Inside = Annotated[str, BeforeValidator(_inside)]
SlotName = Annotated[str, matching(re.compile("[A-Za-z0-9]{1,30}"), "name of a slot", "letters and digits, at most 30")]


class HealthCheck(Section):
    """Whether a host is well: exactly one of `url`, `command` and `port`."""

    url: Annotated[str, BeforeValidator(_url)] = Field(
        default="",
        description="Well at 2xx and 3xx. `{slot}` and `{port}` are those of a slot, `{address}` is the host's.",
    )
    command: Text = Field(default="", description="A shell script on the host; well if it exits with 0.")
    port: Annotated[Whole, Field(ge=0, le=65535)] = Field(default=0, description="Well if somebody listens there on the host.")
    by: Literal["host", "agent"] = Field(
        default="host",
        description="Who asks for the `url`; the `agent` only at `{address}`, such as http://{address}:8080/health.",
    )
    retries: Count = Field(default=15, description="How often it is asked before the host counts as sick.")
    interval: Duration = Field(default="2s", validate_default=True, description="Between two times.")
    timeout: Duration = Field(default="5s", validate_default=True, description="How long an answer may take.")


class Deployment(Section):
    """A release on a group of hosts."""

    to: Text = Field(description="The operator's name of the host group.")
    strategy: Strategy = Field(default="rolling", description="How it goes from host to host.")
    path: Absolute = Field(default="", description="The application's directory on the host. Default: /srv/<application>.")
    application: Annotated[str, BeforeValidator(_name)] = Field(default="", description="Default: the name of the pipeline.")
    keep: Count = Field(default=5, description="How many releases stay on a host.")
    shared: Annotated[tuple[Inside, ...], BeforeValidator(many)] = Field(
        default=(), description="Paths in a release that lead to `<path>/shared`, and so outlive it."
    )
    batch: Annotated[Amount, AfterValidator(_some)] | None = Field(
        default=None, description="How many hosts at once, or what share: 3 or 25%. Default of `rolling`: a quarter."
    )
    minimum_healthy: Annotated[Amount, AfterValidator(_not_all)] | None = Field(
        default=None, description="How many hosts must stay healthy. Absent: all are to succeed."
    )
    canary: Annotated[Amount, AfterValidator(_some)] | None = Field(
        default=None, description="How many hosts go first; between two fleets the share of traffic. Default: one host."
    )
    zones: Flag = Field(default=False, description="Finish a zone before the next begins.")
    bake: Duration | None = Field(default=None, description="How long each wave (of a canary: the first) is watched.")
    health: HealthCheck | None = Field(default=None, description="How it is told that a host is well.")
    appspec: Inside = Field(default="", description="An appspec.yml in the release, as CodeDeploy reads it.")
    before: Text = Field(default="", description="A shell script in the new release, while the old one runs.")
    start: Text = Field(default="", description="A shell script that starts the new release; `current` leads to it.")
    stop: Text = Field(default="", description="A shell script in the old release, that stops it.")
    after: Text = Field(default="", description="A shell script in the new release, when it is well.")
    script_timeout: Duration = Field(default="10m", validate_default=True, description="How long each of these may take.")
    slots: Annotated[dict[SlotName, Port], AfterValidator(_two)] | None = Field(
        default=None, description="For `blue-green` on each host: two slots with a port each, such as {blue: 8081, green: 8082}."
    )
    switch: Text = Field(default="", description="A shell script that leads the traffic to the slot $SLOT, $PORT or $SOCKET.")
    drain: Duration | None = Field(default=None, description="Between the switch and the end of the old slot.")
    rollback: Flag = Field(default=True, description="Whether hosts that were changed go back where a deployment fails.")
    file_exists_behavior: Exists | None = Field(
        default=None, description="What becomes of files that stand where an appspec installs others. Default: DISALLOW."
    )
    ignore_stop_failure: Flag = Field(default=True, description="Whether a new release goes on where stopping the old one fails.")
    lock_timeout: Duration = Field(default="1m", validate_default=True, description="How long to wait for another deployment.")

    @property
    def options(self) -> dict[str, Any]:
        """What was written besides `to` and `strategy`, as JSON; `read` takes it."""
        return self.model_dump(mode="json", exclude={"to", "strategy"}, exclude_unset=True)


def read(values: Mapping[str, object]) -> Deployment:
    """The keys of `deploy:` with every reference looked up. Raises DefinitionError that names each wrong key."""
    try:
        return Deployment.model_validate(values)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, one['loc']))}: {_wrong(one)}" for one in error.errors(include_url=False)]
        raise DefinitionError(f"deploy: {'; '.join(told)}") from error


def _wrong(problem: ErrorDetails) -> str:
    return "there is no such key" if problem["type"] == "extra_forbidden" else wording(problem)[1]
