"""The order of lifecycle events on one host, and whose scripts they run (codepipeline.md 4.2)."""

from collections.abc import Mapping

from agent.model.value import Value

TRAFFIC = ("BeforeBlockTraffic", "AfterBlockTraffic", "BeforeAllowTraffic", "AfterAllowTraffic")
SCRIPTED = (
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "BeforeInstall",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
)
RESERVED = ("Start", "DownloadBundle", "Install", "BlockTraffic", "AllowTraffic", "End")
FORMER = frozenset({"BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop"})  # scripts of the last successful revision

_BLOCK = ("BeforeBlockTraffic", "BlockTraffic", "AfterBlockTraffic")
_CORE = (
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
)
_ALLOW = ("BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic")


class Event(Value, frozen=True, kw_only=True):
    """One event. `former`: its scripts are those of the last successful revision. `may_fail`: a failure does not block."""

    name: str
    former: bool = False
    may_fail: bool = False


def events(*, traffic: bool = False, ignore_stop_failure: bool = True) -> tuple[Event, ...]:
    """The events of a deployment in place, in order; with `traffic` also those around a load balancer."""
    names = (*_BLOCK, *_CORE, *_ALLOW) if traffic else _CORE
    return tuple(event(name, ignore_stop_failure=ignore_stop_failure) for name in names)


def within(*, traffic: bool, ignore_stop_failure: bool) -> tuple[Event, ...]:
    """Those of `events` that come while the host is out of traffic: between BlockTraffic and AllowTraffic."""
    found = events(traffic=traffic, ignore_stop_failure=ignore_stop_failure)
    names = [one.name for one in found]
    return found[names.index("BlockTraffic") + 1 : names.index("AllowTraffic")] if traffic else found


def event(name: str, *, ignore_stop_failure: bool) -> Event:
    """One event by its name."""
    return Event(name=name, former=name in FORMER, may_fail=name in FORMER and ignore_stop_failure)


class Identity(Value, frozen=True, kw_only=True):
    """What the scripts of a deployment may know of it."""

    application: str
    group: str
    deployment: str
    commit: str
    revision: str


def environment(identity: Identity) -> Mapping[str, str]:
    """The variables of every hook, but LIFECYCLE_EVENT: CodeDeploy's names, for scripts that were written for it."""
    return {
        "APPLICATION_NAME": identity.application,
        "DEPLOYMENT_ID": identity.deployment,
        "DEPLOYMENT_GROUP_NAME": identity.group,
        "DEPLOYMENT_GROUP_ID": identity.group,
        "BUNDLE_COMMIT": identity.commit,
        "REVISION": identity.revision,
    }
