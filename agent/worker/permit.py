"""What the operator's configuration allows an attempt to use. Nothing in it comes from a push."""

import re

from agent.actions.base import Attempt
from agent.config import Account, Builds, Config, HostGroup, Registry, Secret
from agent.errors import RefusedError
from agent.model.glob import matches
from agent.model.ids import RefName
from agent.model.plan import Deploy, Run
from agent.settings import Notify, Repository, Server

_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/[A-Za-z0-9._~/:@!$&'()*+,;=-]*(\?[\x21-\x7e]*)?")

Table = Account | Builds | HostGroup | Notify | Registry | Repository | Secret | Server


class Permit:
    """Judges attempts by the configuration that their execution runs under."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def check(self, attempt: Attempt) -> None:
        """Raises RefusedError, with what the operator could change, if the attempt asks for what it may not have."""
        work = attempt.action.work
        if isinstance(work, Run):
            self._check_run(attempt.execution.pipeline, work)
        if isinstance(work, Deploy) or (isinstance(work, Run) and (work.hosts or work.runner == "ssh")):
            self.check_group(attempt, work.to if isinstance(work, Deploy) else work.hosts)
        for name in attempt.action.secrets:
            self._check_secret(attempt, name)

    def is_protected(self, ref: RefName) -> bool:
        """Whether executions of this ref may use what is of value."""
        return fits(self._config.protected, ref)

    def builds(self, ref: RefName) -> bool:
        """Whether executions of this ref may build images at all."""
        return self._config.builds.enabled and fits(self._config.builds.refs, ref)

    def check_group(self, attempt: Attempt, name: str) -> None:
        """Raises RefusedError if the attempt may not reach the hosts of this group; like a secret, it may not be there at all."""
        where = f"host group {name} is not open to {_stage(attempt)}"
        if not _is_open(self._config.hosts.get(name), attempt):
            raise RefusedError(where, hint=f"the operator lists it under [hosts.{name}] in pipeline/config.toml")
        self._need_protection(attempt, where)

    def account(self, attempt: Attempt, name: str, region: str) -> Account:
        """An account of AWS. Raises RefusedError if the attempt may not use it, or not in this region; it may not even exist."""
        account = self._config.accounts.get(name)
        where = f"AWS account {name} is not open to {_stage(attempt)}"
        if not account or not _is_open(account, attempt):
            raise RefusedError(where, hint=f"the operator lists it under [accounts.{name}] in pipeline/config.toml")
        self._need_protection(attempt, where)
        if region and not _any(account.regions, region):
            hint = f"the operator allows {', '.join(account.regions)} ([accounts.{name}] regions in pipeline/config.toml)"
            raise RefusedError(f"{where} in {region}", hint=hint)
        return account

    def server(self, attempt: Attempt, where: str) -> tuple[str, Server]:
        """The server of this name, or the one that this URL is at, with its name. Raises RefusedError if it is not open."""
        said = f"{where} is not open to {_stage(attempt)}"
        opened = {name: server for name, server in self._config.servers.items() if _reaches(server, attempt)}
        if "://" in where:
            fitting = [name for name, server in opened.items() if _covers(server.url, where)]
        else:
            fitting = [name for name, server in opened.items() if name == where and server.url.endswith("/")]
        if not fitting:
            raise RefusedError(
                said, hint="the operator lists it under [servers] in pipeline/config.toml, with all below a url that ends in /"
            )
        self._need_protection(attempt, said)
        nearest = max(fitting, key=lambda name: len(opened[name].url))
        return nearest, opened[nearest]

    def check_build(self, attempt: Attempt, network: bool) -> None:
        """Raises RefusedError if the attempt may not build images."""
        if not self.builds(attempt.execution.ref) or not _is_open(self._config.builds, attempt):
            where = f"{_stage(attempt)} may not build images for {attempt.execution.ref}"
            raise RefusedError(where, hint="the operator opens it under [builds] in pipeline/config.toml")
        self._check_network(network)

    def check_image(self, image: str) -> None:
        """Raises RefusedError if an image may not be used here; `*` stands for one that nobody knows."""
        if not _any(self._config.docker.images, image):
            raise RefusedError(
                f"image {image} is not allowed here",
                hint=f"allowed are {', '.join(self._config.docker.images) or 'none'} ([docker] images in pipeline/config.toml)",
            )

    def registry(self, attempt: Attempt, repository: str) -> Registry:
        """How to push to a repository. Raises RefusedError if the attempt may not."""
        where = f"{repository} is not open to {_stage(attempt)}"
        for registry in self._config.registries.values():
            if _is_open(registry, attempt) and any(_matches(pattern, repository) for pattern in registry.repositories):
                self._need_protection(attempt, where)
                return registry
        raise RefusedError(where, hint="the operator lists it under [registries.NAME] repositories in pipeline/config.toml")

    def destination(self, attempt: Attempt, name: str) -> Notify:
        """The destination of notifications of this name. Raises RefusedError if the attempt may not send to it."""
        where = f"notifications to {name} are not open to {_stage(attempt)}"
        rule = next((rule for rule in self._config.notify if rule.name == name), None)
        if not rule or not _reaches(rule, attempt):
            raise RefusedError(where, hint=f'the operator gives one of [[notify]] `name = "{name}"` in pipeline/config.toml')
        self._need_protection(attempt, where)
        return rule

    def repository(self, attempt: Attempt, name: str, pipeline: str) -> Repository:
        """Another repository, one of whose pipelines is to be started. Raises RefusedError if it is not open to the attempt."""
        found = self._config.repositories.get(name)
        said = f"pipeline {pipeline} of repository {name} is not open to {_stage(attempt)}"
        if not found or not _reaches(found, attempt) or not _any(found.starts, pipeline):
            raise RefusedError(said, hint=f"the operator lists it under [repositories.{name}] in pipeline/config.toml")
        self._need_protection(attempt, said)
        return found

    def check_branch(self, attempt: Attempt, ref: RefName) -> None:
        """Raises RefusedError if the attempt may not start pipelines at this ref: what runs at another one may have more."""
        if ref != attempt.execution.ref:
            self._need_protection(attempt, f"{ref} is not open to {_stage(attempt)}")

    def _need_protection(self, attempt: Attempt, where: str) -> None:
        if not self.is_protected(attempt.execution.ref):
            raise RefusedError(
                f"{where} for {attempt.execution.ref}, which is not protected",
                hint="push to a protected ref, or the operator adds this one to `protected` in pipeline/config.toml",
            )

    def _check_secret(self, attempt: Attempt, name: str) -> None:
        """Why an attempt may not have a secret: it must not even learn whether one of another pipeline exists."""
        secret = self._config.secrets.get(name)
        where = f"secret {name} is not given to {_stage(attempt)}"
        if not secret or not _is_open(secret, attempt):
            raise RefusedError(where, hint=f"the operator lists it under [secrets.{name}] in pipeline/config.toml")
        if not secret.unprotected:
            self._need_protection(attempt, where)

    def _check_run(self, pipeline: str, work: Run) -> None:
        if work.runner == "local":
            self._check_local(pipeline)
        elif work.runner == "docker":
            self._check_docker(work)

    def _check_local(self, pipeline: str) -> None:
        local = self._config.local
        if not local.enabled or not _any(local.pipelines, pipeline):
            raise RefusedError(
                "processes on the agent's own machine are not allowed here",
                hint="use an image, or the operator sets `enabled = true` under [local] in pipeline/config.toml",
            )

    def _check_docker(self, work: Run) -> None:
        for image in (work.image, *(service.image for service in work.services)):
            self.check_image(image)
        self._check_network(work.network)

    def _check_network(self, network: bool) -> None:
        if network and not self._config.docker.network:
            raise RefusedError(
                "containers get no network here", hint="the operator sets `network = true` under [docker] in pipeline/config.toml"
            )


def _stage(attempt: Attempt) -> str:
    return f"stage {attempt.stage.name} of {attempt.execution.pipeline}"


def fits(patterns: tuple[str, ...], ref: RefName) -> bool:
    """Whether a pattern means this ref, by its whole name, or that of a branch without refs/heads/."""
    return any(_matches(pattern, name) for pattern in patterns for name in (ref.removeprefix("refs/heads/"), ref))


def _is_open(section: Table | None, attempt: Attempt) -> bool:
    """Whether a table of the operator's is there, and for this stage of this pipeline."""
    return bool(section and _any(section.pipelines, attempt.execution.pipeline) and _any(section.stages, attempt.stage.name))


def _reaches(section: Notify | Repository | Server, attempt: Attempt) -> bool:
    """Whether a table is open to this stage of this pipeline at this ref."""
    return _is_open(section, attempt) and fits(section.refs, attempt.execution.ref)


def _covers(allowed: str, url: str) -> bool:
    """Whether a URL is this one, or below it where it ends in `/`. One that a server could read as another place is not."""
    path = url.partition("?")[0]
    plain = _PLAIN_URL.fullmatch(url) and not {".", ".."} & set(path.split("/"))
    return bool(plain) and (path.startswith(allowed) if allowed.endswith("/") else path == allowed)


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return any(pattern == "*" or _matches(pattern, text) for pattern in patterns)


def _matches(pattern: str, text: str) -> bool:
    return matches(pattern, text)
