"""What of `deploy:` goes together (GP105, GP806)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from agent.definition.deployment import Deployment, HealthCheck
from agent.definition.diagnostics import Diagnostic
from agent.definition.reading import Placed, Reading
from agent.definition.shape import unknown_in

_CHECKS = ("url", "command", "port")
_SCRIPTS = ("before", "start", "stop", "after")
_BATCHED = frozenset({"rolling", "canary", "blue-green"})
_AT_THE_HOST = re.compile(r"https?://\{address\}(:\d{1,5})?(/.*)?", re.ASCII)


class _Clash(NamedTuple):
    """A key that has no meaning beside the others."""

    key: str
    message: str
    hint: str = ""


def one_check(reading: Reading) -> Iterator[Diagnostic]:
    """GP105: a health check asks for exactly one thing."""
    for placed, deploy in _deployments(reading):
        if deploy.health is None or reading.lost & {*_CHECKS, unknown_in(HealthCheck)}:
            continue
        given = [key for key in _CHECKS if getattr(deploy.health, key)]
        if len(given) != 1:
            what = f"has {' and '.join(f'`{key}`' for key in given)}" if given else "asks for nothing"
            message = f"a health check is exactly one of `url`, `command` and `port`; this one {what}"
            at = (*placed.loc, "deploy", "health", *given[1:2])
            yield reading.at("GP105", at, message, on_key=True)


def together(reading: Reading) -> Iterator[Diagnostic]:
    """GP806: keys that mean nothing beside the others, and so would be passed over."""
    for placed, deploy in _deployments(reading):
        for clash in (*_of_slots(deploy), *_of_waves(deploy), *_of_appspec(deploy)):
            yield reading.at("GP806", (*placed.loc, "deploy", clash.key), clash.message, clash.hint, on_key=True)
        for clash in _of_health(deploy, deploy.health) if deploy.health else ():
            yield reading.at("GP806", (*placed.loc, "deploy", "health", clash.key), clash.message, clash.hint)


def _deployments(reading: Reading) -> Iterator[tuple[Placed, Deployment]]:
    return ((placed, placed.action.deploy) for placed in reading.actions if placed.action.deploy)


def _of_slots(deploy: Deployment) -> Iterator[_Clash]:
    if deploy.slots is None:
        for key in ("switch", "drain"):
            if getattr(deploy, key):
                yield _Clash(key, f"`{key}` belongs to `slots`, which are not given", "slots: {blue: 8081, green: 8082}")
        return
    if deploy.strategy != "blue-green":
        yield _Clash("slots", "`slots` are for the strategy blue-green", "write `strategy: blue-green`")
    if deploy.appspec:
        yield _Clash("slots", "`slots` go with `start` and `stop`; an appspec has its own places", "remove one of the two")


def _of_waves(deploy: Deployment) -> Iterator[_Clash]:
    strategy = deploy.strategy
    if deploy.batch and strategy not in _BATCHED:
        yield _Clash("batch", f"`batch` says how many at once, and so does `strategy: {strategy}`", "write `strategy: rolling`")
    if deploy.canary and strategy != "canary" and (strategy != "blue-green" or deploy.slots):
        yield _Clash("canary", "`canary` is for the strategy of that name, and for two fleets", "write `strategy: canary`")
    if strategy == "blue-green" and not deploy.slots:
        for key in ("canary", "batch"):
            amount = getattr(deploy, key)
            if amount and not amount.percent:
                message = f"between two fleets `{key}` is a share of the traffic"
                yield _Clash(key, message, f"write {amount.number}%, or `slots` for two places on each host")
    if deploy.minimum_healthy and strategy.startswith("CodeDeployDefault."):
        yield _Clash("minimum_healthy", f"{strategy} has its own minimum", "write `strategy: rolling`")


def _of_appspec(deploy: Deployment) -> Iterator[_Clash]:
    if not deploy.appspec:
        if deploy.file_exists_behavior:
            yield _Clash("file_exists_behavior", "only an `appspec` installs files", "write `appspec: appspec.yml`, or remove it")
        return
    for key in _SCRIPTS:
        if getattr(deploy, key):
            yield _Clash(key, f"`{key}` is not run beside an appspec", "its hooks say what is run")


def _of_health(deploy: Deployment, health: HealthCheck) -> Iterator[_Clash]:
    if health.by == "agent" and not health.url:
        yield _Clash("by", "the agent asks a `url`; `command` and `port` are looked at on the host", "remove `by`")
    elif health.by == "agent" and not _AT_THE_HOST.fullmatch(health.url):
        message = "the agent asks nobody but the hosts themselves: the url has to begin with http://{address}"
        yield _Clash("url", message, "such as http://{address}:8080/health; another url can be asked `by: host`")
    elif health.by == "host" and "{address}" in health.url:
        yield _Clash("url", "`{address}` is what the agent asks; on the host it is 127.0.0.1", "write `by: agent`, or 127.0.0.1")
    if health.by == "agent" and (deploy.slots or deploy.after):
        what = "`slots` switch" if deploy.slots else "`after` runs"
        yield _Clash("by", f"{what} on the host before the agent has asked", "let the host ask: remove `by`")
    if deploy.slots is None and any(word in health.url for word in ("{slot}", "{port}")):
        yield _Clash("url", "`{slot}` and `{port}` are those of `slots`, which are not given")
    if deploy.slots and health.port:
        yield _Clash("port", "each slot has its own port", "url: http://127.0.0.1:{port}/, or a command with $PORT")
