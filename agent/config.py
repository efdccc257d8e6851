"""The operator's configuration: `<repo>.git/pipeline/config.toml` over `/etc/git-pipeline/config.toml`.

It alone says what pushes may do; nothing in it comes from a push. A missing file means safe defaults:
Docker only, no secrets, no hosts.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

import tomli
from pydantic import Field, ValidationError, field_validator, model_validator

from agent.errors import ConfigError
from agent.settings import (
    Artifacts,
    CommitStatus,
    Duration,
    Listen,
    Mail,
    Notify,
    Remote,
    Repository,
    SecretName,
    Section,
    Server,
    Size,
    Source,
)

_SSH_KEY = re.compile(
    r"(?P<options>(?:[a-z-]+(?:=\"[^\"\x00-\x1f]*\")?(?:,[a-z-]+(?:=\"[^\"\x00-\x1f]*\")?)* +)?)"
    r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+ +(?P<blob>[A-Za-z0-9+/]{40,}=*)(?: [^\x00-\x1f\x7f]*)?"
)
_OPENPGP_KEY = re.compile(r"openpgp:(?: ?[0-9A-Fa-f]){40}(?:(?: ?[0-9A-Fa-f]){24})?")
SOURCES = ("file", "environment", "ssm", "secretsmanager")
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
AccountName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
PersonName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$")]


class Docker(Section):
    """What containers may be and have; numbers are the most an action may ask for, and the default."""

    host: str = ""  # as DOCKER_HOST; empty: the engine's usual socket
    images: tuple[str, ...] = ("*",)
    memory: Size = 2 * 1024**3
    cpus: float = 2.0
    pids: int = 1024
    network: bool = True  # whether an action may ask for it


class Builds(Section):
    """Who may build images with `uses: image`: nobody, unless the operator says otherwise. Steps have the limits of [docker]."""

    enabled: bool = False
    pipelines: tuple[str, ...] = ("*",)
    stages: tuple[str, ...] = ("*",)
    refs: tuple[str, ...] = ("**",)


class Registry(Section):
    """Where images may be pushed to, and as whom: a user, an account of AWS (for ECR), or nobody. Only from protected refs."""

    repositories: Annotated[tuple[str, ...], Field(min_length=1)]  # with the host, without a tag: registry.example.com/shop/**
    user: str = ""
    password: SecretName | Literal[""] = ""
    account: AccountName | Literal[""] = ""  # of [accounts]: it asks ECR for a login
    region: str = ""  # of ECR; default: the account's own
    create: bool = False  # make a repository of ECR that is not there
    pipelines: tuple[str, ...] = ("*",)
    stages: tuple[str, ...] = ("*",)

    @model_validator(mode="after")
    def _has_one_login(self) -> "Registry":
        if bool(self.user) != bool(self.password) or (self.account and self.user):
            raise ValueError("the login is `user` and `password`, or `account`, or none")
        if (self.create or self.region) and not self.account:
            raise ValueError("`create` and `region` belong to an `account` (ECR)")
        return self


class Local(Section):
    """Processes on the agent's own machine: off unless the operator says otherwise."""

    enabled: bool = False
    pipelines: tuple[str, ...] = ("*",)


class Logs(Section):
    """Caps in bytes: what one action may write to disk, and how much of it goes into the note."""

    disk: Size = 1024**3
    note: Size = 1024**2


class Retention(Section):
    """What `git pipeline gc` keeps."""

    artifacts: Duration = timedelta(days=30)
    executions: Duration = timedelta(days=90)
    caches: Duration = timedelta(days=14)
    cache_size: int = 10 * 1024**3  # bytes of all caches together; the least recently used go first


class Person(Section):
    """Someone who may decide: public keys (`ssh-… AAAA…` or `openpgp:FINGERPRINT`) and roles.

    Options as in an allowed_signers file may stand before an SSH key: `valid-after="20260101"`, `valid-before="20270101Z"`,
    `cert-authority` (then certificates count whose principal is the person's name or e-mail address).
    """

    keys: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    email: str = ""

    @field_validator("keys")
    @classmethod
    def _are_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if not (_SSH_KEY.fullmatch(key) or _OPENPGP_KEY.fullmatch(key)):
                raise ValueError(f"{key[:40]!r} is no public key: write 'ssh-ed25519 AAAA…' or 'openpgp:FINGERPRINT'")
        return keys


class Control(Section):
    """Who may steer by signed tags: roles or names of people for each verb. Who may approve is said by each approval."""

    stop: tuple[str, ...] = ("operator",)
    retry: tuple[str, ...] = ("operator",)
    rollback: tuple[str, ...] = ("operator",)
    disable: tuple[str, ...] = ("operator",)
    enable: tuple[str, ...] = ("operator",)
    override: tuple[str, ...] = ("operator",)
    start: tuple[str, ...] = ("operator",)
    drift: Duration = timedelta(minutes=5)  # the most that a tag's date may differ from the time of receipt
    name_execution: bool = False  # every tag must carry `Execution: ID`, so that it cannot serve in another repository


class Secret(Section):
    """A secret: exactly one source, and who may have it. Only executions of protected refs ever get one, unless `unprotected`."""

    file: str = ""  # relative to this file's directory
    environment: str = ""
    ssm: str = ""
    secretsmanager: str = ""  # "id" or "id:key"
    region: str = ""
    role: str = ""  # ARN to assume for reading it
    pipelines: tuple[str, ...] = ("*",)
    stages: tuple[str, ...] = ("*",)
    unprotected: bool = False

    @property
    def source(self) -> str:
        """The kind of source: the name of the one key that is set."""
        return next(name for name in SOURCES if getattr(self, name))

    @model_validator(mode="after")
    def _has_one_source(self) -> "Secret":
        if sum(bool(getattr(self, name)) for name in SOURCES) != 1:
            raise ValueError(f"exactly one of {', '.join(SOURCES)} is needed")
        return self


class Ec2(Section):
    """Hosts by their tags in one region of one account. A tag's value may hold `*` and `?`; several values are alternatives."""

    region: str
    tags: Mapping[str, str | tuple[str, ...]]
    role: str = ""  # ARN to assume; empty: the agent's own account
    external_id: Annotated[str, Field(pattern=r"^([A-Za-z0-9_+=,.@:/-]{2,1224})?$")] = ""  # that the role asks for
    address: Literal["private", "public", "dns"] = "private"


class Balancer(Section):
    """A load balancer of AWS before the hosts of a group. Nothing that is pushed names one of its parts."""

    region: str
    role: str = ""  # ARN to assume; empty: the agent's own account
    target_groups: tuple[str, ...] = ()  # ARNs; a host is taken out of them while it is deployed to
    by: Literal["instance", "ip"] = "instance"  # what their targets are
    port: Annotated[int, Field(ge=0, le=65535)] = 0  # of the targets; default: that of the target group
    listener: str = ""  # ARN, for a group of two `fleets`: its weights say which of them is live
    drain: Duration = timedelta(minutes=5)  # how long to wait until a host has no connections any more
    healthy: Duration = timedelta(minutes=5)  # how long to wait until a host is healthy


class HostGroup(Section):
    """Hosts that are reached in one way, over SSH. Only executions of protected refs ever reach them."""

    addresses: Mapping[HostName, str] | tuple[str, ...] = ()  # `host` or `host:port`, with names or without
    ec2: tuple[Ec2, ...] = ()
    user: str = ""  # default: who the agent runs as
    port: Annotated[int, Field(ge=0, le=65535)] = 0  # default: 22
    key: str = ""  # private key, relative to this file's directory; default: those in ~/.ssh
    passphrase: SecretName | Literal[""] = ""  # the secret with the key's passphrase
    console_keys: bool = False  # host keys are read from what an instance of EC2 printed at its first start, and kept
    instance_connect: bool = False  # EC2 Instance Connect: a fresh key for each login, that the host takes for a minute
    agent: str = ""  # the socket of an ssh-agent whose keys are tried too: the agent's own, never that of who pushes
    host_keys: tuple[str, ...] = ()  # lines as in a known_hosts file; one that starts with the key speaks of all hosts
    known_hosts: str = ""  # a file, relative to this file's directory; default: ~/.ssh/known_hosts
    jump: str = ""  # user@host:port; several with a comma between them, the nearest first
    ssh_config: str = ""  # a file that ssh is asked for the way, by the address or the instance's id; relative likewise
    timeout: Duration = timedelta(seconds=10)  # of each step of connecting
    balancer: Balancer | None = None
    fleets: tuple[HostName, ...] = ()  # instead of hosts: two other groups, between which `strategy: blue-green` switches
    pipelines: tuple[str, ...] = ("*",)
    stages: tuple[str, ...] = ("*",)

    @field_validator("ec2", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _has_hosts(self) -> "HostGroup":
        if self.fleets:
            if self.addresses or self.ec2 or len(self.fleets) != 2 or not (self.balancer and self.balancer.listener):
                raise ValueError("`fleets` are two other groups, with a `balancer` that has a `listener`, and without hosts")
            return self
        if not self.addresses and not self.ec2:
            raise ValueError("a group needs `addresses`, `ec2` or `fleets`")
        for name in ("instance_connect", "console_keys"):
            if getattr(self, name) and (self.addresses or not self.ec2):
                raise ValueError(f"`{name}` is for groups whose hosts all come from `ec2`")
        return self


class Account(Section):
    """An AWS account for actions of protected refs: a role to assume, or none for the agent's own identity."""

    role: Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+)?$")] = ""
    external_id: Annotated[str, Field(pattern=r"^([A-Za-z0-9_+=,.@:/-]{2,1224})?$")] = ""
    region: str = ""  # where an action names none; default: that of the agent's environment
    regions: tuple[str, ...] = ("*",)  # which ones an action may name
    session_tags: tuple[
        Literal["pipeline", "execution", "stage", "action", "commit"], ...
    ] = ()  # the role must allow sts:TagSession
    pipelines: tuple[str, ...] = ("*",)
    stages: tuple[str, ...] = ("*",)


class Config(Section):
    """The whole file."""

    concurrency: Annotated[int, Field(ge=1)] = 4
    machine_concurrency: Annotated[int, Field(ge=0)] = 0  # actions at once over all repositories of the machine; 0: no limit
    linger: Duration = timedelta(seconds=20)
    protected: tuple[str, ...] = ()
    docker: Docker = Docker()
    builds: Builds = Builds()
    local: Local = Local()
    logs: Logs = Logs()
    artifacts: Artifacts = Artifacts()
    retention: Retention = Retention()
    people: Mapping[PersonName, Person] = {}
    secrets: Mapping[SecretName, Secret] = {}
    hosts: Mapping[HostName, HostGroup] = {}
    accounts: Mapping[AccountName, Account] = {}
    servers: Mapping[AccountName, Server] = {}
    registries: Mapping[HostName, Registry] = {}
    repositories: Mapping[AccountName, Repository] = {}
    control: Control = Control()
    link: str = ""  # where people see a commit: https://git.example.com/site/commit/{commit}; also {pipeline} {number} {ref} {id}
    notify: tuple[Notify, ...] = ()
    status: tuple[CommitStatus, ...] = ()
    mail: Mail = Mail()
    remotes: Mapping[HostName, Remote] = {}
    sources: tuple[Source, ...] = ()
    listen: Listen = Listen()
    revoked_keys: str = ""  # SSH keys that count no more: a KRL or a list of public keys; relative to this file's directory
    openpgp_keyring: str = ""  # exported OpenPGP keys, not armored; relative to this file's directory

    @model_validator(mode="before")
    @classmethod
    def _puts_accounts_in(cls, given: Any) -> Any:  # noqa: ANN401 - what a file holds
        """Each table that names one of [accounts] gets the role of it, and its region if it has none."""
        if not isinstance(given, dict) or not isinstance(accounts := given.get("accounts", {}), dict):
            return given
        notify = given.get("notify")
        rules = notify if isinstance(notify, list | tuple) else ()
        places = [("artifacts", given.get("artifacts")), ("listen", given.get("listen")), *(("[notify]", rule) for rule in rules)]
        for name, table in places:
            if isinstance(table, dict) and (account := table.get("account")):
                if not isinstance(known := accounts.get(account), dict):
                    raise ValueError(f"there is no [accounts.{account}], which [{name}] names")
                for key in ("role", "external_id", "region"):
                    table[key] = table.get(key) or known.get(key, "")
        return given

    @model_validator(mode="after")
    def _each_fleet_has_one_target_group(self) -> "Config":
        for name, group in self.hosts.items():
            for fleet in group.fleets:
                balancer = self.hosts[fleet].balancer if fleet in self.hosts else None
                if balancer is None or len(balancer.target_groups) != 1:
                    raise ValueError(f"hosts.{name}: the fleet {fleet} needs a section [hosts.{fleet}] with one target group")
        return self

    @model_validator(mode="after")
    def _each_key_is_of_one_person(self) -> "Config":
        owners: dict[str, str] = {}
        for name, person in self.people.items():
            for key in person.keys:
                blob = _SSH_KEY.fullmatch(key)
                plain = blob["blob"].rstrip("=") if blob else key.replace(" ", "").upper()
                if not (blob and "cert-authority" in blob["options"].lower()) and owners.setdefault(plain, name) != name:
                    raise ValueError(f"one key belongs to {owners[plain]} and to {name}: it could not tell who has signed")
        return self

    @model_validator(mode="after")
    def _each_name_is_of_one_destination(self) -> "Config":
        names = [rule.name for rule in self.notify if rule.name]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two [[notify]] are called {min(twice)}")
        return self

    @model_validator(mode="after")
    def _knows_the_secrets_that_it_names(self) -> "Config":
        named = {rule.secret for rule in self.notify} | {rule.token for rule in self.status} | {self.mail.password}
        named |= {url for rule in self.notify for url in (rule.webhook, rule.slack) if url and "://" not in url}
        named |= {name for remote in self.remotes.values() for name in (remote.secret, remote.token)}
        named |= {server.secret for server in self.servers.values()} | {one.password for one in self.registries.values()}
        missing = sorted(named - {""} - self.secrets.keys())
        if missing:
            where = "[[notify]], [[status]], [remotes], [servers], [registries] or [mail]"
            raise ValueError(f"there is no [secrets.{missing[0]}], which {where} names")
        return self


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


def restore(body: str) -> Config:
    """A configuration from its JSON form (`Config.model_dump`). Raises ConfigError for one of another version of the agent."""
    try:
        return Config.model_validate_json(body)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, "state.db"))) from error


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
