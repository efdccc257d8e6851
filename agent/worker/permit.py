"""What the operator's configuration allows an attempt to use. Nothing in it comes from a push."""

import re

from agent.actions.base import Attempt
from agent.config import Account, Config
from agent.errors import RefusedError
from agent.model.glob import matches
from agent.model.ids import RefName
from agent.model.plan import Deploy, Run

_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/[A-Za-z0-9._~/:@!$&'()*+,;=-]*(\?[\x21-\x7e]*)?")


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
        short = ref.removeprefix("refs/heads/")
        return any(_matches(pattern, short) or _matches(pattern, ref) for pattern in self._config.protected)

    def check_group(self, attempt: Attempt, name: str) -> None:
        """Raises RefusedError if the attempt may not reach the hosts of this group; like a secret, it may not be there at all."""
        group = self._config.hosts.get(name)
        where = f"host group {name} is not open to stage {attempt.stage.name} of {attempt.execution.pipeline}"
        if not group or not _any(group.pipelines, attempt.execution.pipeline) or not _any(group.stages, attempt.stage.name):
            raise RefusedError(where, hint=f"the operator lists it under [hosts.{name}] in pipeline/config.toml")
        self._need_protection(attempt, where)

    def account(self, attempt: Attempt, name: str, region: str) -> Account:
        """An account of AWS. Raises RefusedError if the attempt may not use it, or not in this region; it may not even exist."""
        account = self._config.accounts.get(name)
        where = f"AWS account {name} is not open to stage {attempt.stage.name} of {attempt.execution.pipeline}"
        if not account or not _any(account.pipelines, attempt.execution.pipeline) or not _any(account.stages, attempt.stage.name):
            raise RefusedError(where, hint=f"the operator lists it under [accounts.{name}] in pipeline/config.toml")
        self._need_protection(attempt, where)
        if region and not _any(account.regions, region):
            hint = f"the operator allows {', '.join(account.regions)} ([accounts.{name}] regions in pipeline/config.toml)"
            raise RefusedError(f"{where} in {region}", hint=hint)
        return account

    def check_url(self, attempt: Attempt, url: str) -> None:
        """Raises RefusedError if the operator does not open a URL to the attempt."""
        where = f"{url} is not open to {attempt.execution.pipeline}"
        if not any(_covers(allowed, url) for allowed in self._config.http.urls):
            raise RefusedError(where, hint="the operator lists it under [http] urls in pipeline/config.toml")
        self._need_protection(attempt, where)

    def _need_protection(self, attempt: Attempt, where: str) -> None:
        if not self.is_protected(attempt.execution.ref):
            raise RefusedError(
                f"{where} for {attempt.execution.ref}, which is not protected",
                hint="push to a protected ref, or the operator adds this one to `protected` in pipeline/config.toml",
            )

    def _check_secret(self, attempt: Attempt, name: str) -> None:
        """Why an attempt may not have a secret: it must not even learn whether one of another pipeline exists."""
        secret = self._config.secrets.get(name)
        where = f"secret {name} is not given to stage {attempt.stage.name} of {attempt.execution.pipeline}"
        if not secret or not _any(secret.pipelines, attempt.execution.pipeline) or not _any(secret.stages, attempt.stage.name):
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
        docker = self._config.docker
        for image in (work.image, *(service.image for service in work.services)):
            if not _any(docker.images, image):
                raise RefusedError(
                    f"image {image} is not allowed here",
                    hint=f"allowed are {', '.join(docker.images) or 'none'} ([docker] images in pipeline/config.toml)",
                )
        if work.network and not docker.network:
            raise RefusedError(
                "containers get no network here", hint="the operator sets `network = true` under [docker] in pipeline/config.toml"
            )


def _covers(allowed: str, url: str) -> bool:
    """Whether a URL is this one, or below it where it ends in `/`. One that a server could read as another place is not."""
    path = url.partition("?")[0]
    plain = _PLAIN_URL.fullmatch(url) and not {".", ".."} & set(path.split("/"))
    return bool(plain) and (path.startswith(allowed) if allowed.endswith("/") else path == allowed)


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return any(pattern == "*" or _matches(pattern, text) for pattern in patterns)


def _matches(pattern: str, text: str) -> bool:
    return matches(pattern, text)
