"""Sections of the operator's file that speak of the systems around: who is told, which forge shows it, where artifacts lie."""

import difflib
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from agent.model import quantity
from agent.model.glob import problem
from agent.model.notice import EVENTS

TARGETS = ("sns", "eventbridge", "webhook", "slack", "mail", "command", "uses")
STARTERS = ("s3", "ecr", "event")
FORGES = ("github", "gitlab", "bitbucket")
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


def _duration(value: object) -> object:
    read = quantity.duration(value) if isinstance(value, str) else None
    return value if read is None else read


def _size(value: object) -> object:
    read = quantity.size(value) if isinstance(value, str) else None
    return value if read is None else read


Duration = Annotated[timedelta, BeforeValidator(_duration)]  # 90s, 1h30m, 7d, as in pipeline files; and ISO 8601
Size = Annotated[int, BeforeValidator(_size)]  # 512m, 2g, as in pipeline files; and plain bytes


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AsAccount(Section):
    """What the agent does in AWS for itself: as an account of [accounts], whose role is put in, or with a role of its own."""

    account: str = ""
    region: str = ""
    role: str = ""  # ARN to assume
    external_id: str = ""  # that the role asks for


class Replica(Section):
    """A bucket in another region, for the artifacts that actions there need."""

    bucket: str
    kms_key: str = ""


class Artifacts(AsAccount):
    """Where artifacts are kept: in this directory, or in a bucket of S3 with copies here of what was needed last."""

    store: str = "local"  # local, s3, or the name of a plug-in
    bucket: str = ""
    prefix: str = ""  # of the keys, such as "site/"
    kms_key: str = ""  # id or ARN of a key of KMS; empty: as the bucket encrypts by default
    replicas: Mapping[str, Replica] = {}  # by region

    @model_validator(mode="after")
    def _has_a_bucket(self) -> "Artifacts":
        if self.store == "s3" and not self.bucket:
            raise ValueError('store = "s3" needs a `bucket`')
        return self


class Notify(AsAccount):
    """One destination of notifications, and the events it wants to hear. A URL may be the name of the secret that holds it."""

    events: tuple[str, ...] = ()  # our names or CodePipeline's ids (model/notice.py), with `*`
    name: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,63})?$")] = ""  # by which `uses: notify` may send to it
    pipelines: tuple[str, ...] = ("*",)
    stages: tuple[str, ...] = ("*",)  # that may send to it
    refs: tuple[str, ...] = ("**",)
    sns: str = ""  # ARN of a topic
    eventbridge: str = ""  # name or ARN of an event bus
    webhook: str = ""  # URL that gets the notice as JSON
    slack: str = ""  # URL of an incoming webhook of Slack, Mattermost, Teams' workflows, …
    mail: tuple[str, ...] = ()  # addresses; see [mail]
    command: tuple[str, ...] = ()  # gets the notice as JSON on its standard input
    uses: str = ""  # the name of a plug-in,
    options: Mapping[str, str] = {}  # and what it is told
    secret: SecretName | Literal[""] = ""  # signs the body of a webhook (HMAC-SHA256)

    @property
    def kind(self) -> str:
        """The name of the one destination that is set, or of the plug-in."""
        return self.uses or next(name for name in TARGETS if getattr(self, name))

    @property
    def address(self) -> str:
        """What tells this destination from others of its kind."""
        if self.uses:
            return " ".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        value = getattr(self, self.kind)
        return value if isinstance(value, str) else " ".join(value)

    @property
    def wanted(self) -> frozenset[str]:
        """The events of model/notice.py that the patterns mean."""
        return frozenset(event for pattern in self.events for event in _meant(pattern))

    @field_validator("events")
    @classmethod
    def _are_events(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in events:
            if not _meant(pattern):
                near = difflib.get_close_matches(pattern, EVENTS, 1)
                raise ValueError(f"there is no event {pattern}" + (f", did you mean {near[0]}?" if near else ""))
        return events

    @model_validator(mode="after")
    def _has_one_target(self) -> "Notify":
        if sum(bool(getattr(self, name)) for name in TARGETS) != 1:
            raise ValueError(f"exactly one of {', '.join(TARGETS)} is needed")
        if not self.events and not self.name:
            raise ValueError("`events` say what it is told, a `name` lets pipelines send to it: one is needed")
        return self


class CommitStatus(Section):
    """A forge that shows beside a commit how its executions stand. The commit must be known there, as by a mirror."""

    github: str = ""  # owner/name
    gitlab: str = ""  # group/name, or the project's number
    bitbucket: str = ""  # workspace/name
    token: SecretName  # may write statuses; for Bitbucket also `user:password`
    api: str = ""  # where the forge's REST interface is, unless at its usual place
    context: str = "git-pipeline/{pipeline}"
    pipelines: tuple[str, ...] = ("*",)
    refs: tuple[str, ...] = ("**",)

    @property
    def kind(self) -> str:
        """The name of the forge."""
        return next(name for name in FORGES if getattr(self, name))

    @property
    def address(self) -> str:
        """The project, and where the forge is."""
        return f"{getattr(self, self.kind)} {self.api}".strip()

    @property
    def wanted(self) -> frozenset[str]:
        """The events that change a status."""
        return frozenset(event for event in EVENTS if event.startswith("execution.")) | {"approval.needed"}

    @model_validator(mode="after")
    def _has_one_forge(self) -> "CommitStatus":
        if sum(bool(getattr(self, name)) for name in FORGES) != 1:
            raise ValueError(f"exactly one of {', '.join(FORGES)} is needed")
        return self


class Remote(Section):
    """A repository elsewhere that is brought here: by `git pipeline mirror`, and when it says itself that it has changed."""

    url: str
    refs: tuple[str, ...] = ("refs/heads/**", "refs/tags/**")  # control tags only where a pattern names them
    forge: Literal["", "github", "gitlab", "bitbucket", "codecommit"] = ""  # who speaks for it
    secret: SecretName | Literal[""] = ""  # of its webhook
    repository: str = ""  # its name with CodeCommit
    key: str = ""  # private SSH key for fetching, relative to the configuration's directory
    token: SecretName | Literal[""] = ""  # for fetching over HTTPS: `user:password`, or a token alone


class Source(Section):
    """What starts a pipeline beside pushes: an object in S3, an image in ECR, an event of EventBridge or of its schedules."""

    s3: str = ""  # bucket/key, as a glob
    ecr: str = ""  # repository:tag, as a glob
    event: str = ""  # the source of events, as aws.events, as a glob
    detail_type: str = "**"  # and their type,
    resource: str = "**"  # and the first thing they are about, such as the ARN of a rule
    pipeline: str
    branch: str  # whose head is run
    variables: Mapping[str, str] = {}  # of the pipeline, with {version}, {digest}, {detail.name} … put in

    @property
    def kind(self) -> str:
        """The name of the one that is set."""
        return next(name for name in STARTERS if getattr(self, name))

    @model_validator(mode="after")
    def _has_one_kind(self) -> "Source":
        if sum(bool(getattr(self, name)) for name in STARTERS) != 1:
            raise ValueError(f"exactly one of {', '.join(STARTERS)} is needed")
        for pattern in (self.s3, self.ecr, self.event, self.detail_type, self.resource):
            if pattern and (wrong := problem(pattern)):
                raise ValueError(f"{pattern!r} is not a glob: {wrong}")
        return self


class Server(Section):
    """A web server that actions of protected refs may call, such as a Jenkins; and who the agent is there."""

    url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+/[^?#\s]*$")]  # this one, or all below one that ends in `/`
    user: str = ""
    secret: SecretName | Literal[""] = ""  # the user's password or token; without a user a bearer token
    pipelines: tuple[str, ...] = ("*",)
    stages: tuple[str, ...] = ("*",)
    refs: tuple[str, ...] = ("**",)  # of the protected ones

    @model_validator(mode="after")
    def _has_a_secret(self) -> "Server":
        if self.user and not self.secret:
            raise ValueError("a `user` needs a `secret`")
        return self


class Repository(Section):
    """Another repository on this machine, whose pipelines actions of protected refs may start."""

    path: Annotated[str, Field(pattern=r"^/")]
    starts: tuple[str, ...] = ("*",)  # which of its pipelines
    pipelines: tuple[str, ...] = ("*",)  # of ours
    stages: tuple[str, ...] = ("*",)
    refs: tuple[str, ...] = ("**",)  # of the protected ones


class Listen(AsAccount):
    """The queue of SQS that `git pipeline listen` reads."""

    queue: str = ""  # URL


class Mail(Section):
    """How mail leaves: by the machine's sendmail, or by an SMTP server (`host` or `host:port`)."""

    sender: str = ""  # default: who the agent runs as
    sendmail: str = "/usr/sbin/sendmail"
    smtp: str = ""
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: SecretName | Literal[""] = ""


def _meant(pattern: str) -> tuple[str, ...]:
    """The events that a pattern means; a name may be ours or CodePipeline's."""
    return tuple(
        event for event, other in EVENTS.items() if fnmatchcase(event, pattern) or (other and fnmatchcase(other, pattern))
    )
