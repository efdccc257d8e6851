"""Load balancers of AWS (elbv2): hosts in and out of target groups, and the shares of a listener."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from threading import Event
from typing import Any

from agent.aws.session import AwsFault, Service
from agent.errors import EnvironmentFault
from agent.model.host import Host

POLL = 2.0  # seconds


class TargetGroups:
    """The target groups of some hosts. `by`: whether targets are instances or ip addresses; `port` 0: the groups' own."""

    def __init__(self, elb: Service, groups: Sequence[str], *, by: str, port: int, drain: timedelta, healthy: timedelta) -> None:
        self._elb = elb
        self._groups = groups
        self._by = by
        self._port = port
        self._drain = drain
        self._healthy = healthy

    def block(self, host: Host, stop: Event) -> None:
        """See Balancer."""
        target = self._target(host)
        for group in self._groups:
            self._take_out(group, target)
        self._wait(host, target, self._drain, stop, lambda state, reason: state == "unused" or reason == "Target.NotRegistered")

    def allow(self, host: Host, stop: Event) -> None:
        """See Balancer. A target group that no listener leads to asks for nobody's health, and so is not waited for."""
        target = self._target(host)
        for group in self._groups:
            self._elb("register_targets", TargetGroupArn=group, Targets=[target])
        self._wait(host, target, self._healthy, stop, lambda state, reason: state == "healthy" or reason == "Target.NotInUse")

    def _take_out(self, group: str, target: dict[str, Any]) -> None:
        try:
            self._elb("deregister_targets", TargetGroupArn=group, Targets=[target])
        except AwsFault as fault:
            if fault.code != "InvalidTarget":  # it was not in
                raise

    def _target(self, host: Host) -> dict[str, Any]:
        if self._by == "instance" and not host.id:
            raise EnvironmentFault(
                f"{host.name} is no instance, so it cannot stand in a target group of instances", hint='write `by = "ip"`'
            )
        identity = host.id if self._by == "instance" else host.address
        return {"Id": identity, "Port": self._port} if self._port else {"Id": identity}

    def _wait(
        self, host: Host, target: dict[str, Any], limit: timedelta, stop: Event, is_done: Callable[[str, str], bool]
    ) -> None:
        end = time.monotonic() + limit.total_seconds()
        for group in self._groups:
            while not is_done(*(found := self._state(group, target))):
                where = f"{host.name} is {' '.join(filter(None, found))} in {_short(group)}"
                if time.monotonic() >= end:
                    raise EnvironmentFault(f"load balancer: {where} after {limit.total_seconds():.0f} s")
                if stop.wait(POLL):
                    raise EnvironmentFault(f"load balancer: stopped while {where}")

    def _state(self, group: str, target: dict[str, Any]) -> tuple[str, str]:
        """State and reason."""
        found = self._elb("describe_target_health", TargetGroupArn=group, Targets=[target])["TargetHealthDescriptions"]
        health = found[0]["TargetHealth"] if found else {"State": "unused"}
        return health["State"], health.get("Reason", "")


class Listener:
    """A listener whose default action forwards to a target group of each fleet."""

    def __init__(self, elb: Service, listener: str, fleets: Mapping[str, str]) -> None:
        """`fleets`: the target group of each, by name."""
        self._elb = elb
        self._listener = listener
        self._fleets = fleets

    def shares(self) -> Mapping[str, int]:
        """See Switch."""
        weights = dict.fromkeys(self._fleets, 0)
        for one in self._forward(self._actions()):
            name = next((name for name, group in self._fleets.items() if group == one["TargetGroupArn"]), "")
            if not name:
                strange = f"{_short(one['TargetGroupArn'])}, which is of none of the fleets"
                raise EnvironmentFault(f"the listener {_short(self._listener)} forwards to {strange}")
            weights[name] = one.get("Weight", 1)
        whole = sum(weights.values()) or 1
        return {name: round(100 * weight / whole) for name, weight in weights.items()}

    def shift(self, shares: Mapping[str, int]) -> None:
        """See Switch. Other actions of the listener, such as a login, stay."""
        groups = [{"TargetGroupArn": self._fleets[name], "Weight": share} for name, share in shares.items()]
        actions = self._actions()
        self._forward(actions)
        changed = [
            {**{key: value for key, value in one.items() if key != "TargetGroupArn"}, "ForwardConfig": {"TargetGroups": groups}}
            if one["Type"] == "forward"
            else one
            for one in actions
        ]
        self._elb("modify_listener", ListenerArn=self._listener, DefaultActions=changed)

    def _actions(self) -> list[dict[str, Any]]:
        found = self._elb("describe_listeners", ListenerArns=[self._listener])["Listeners"]
        if not found:
            raise EnvironmentFault(f"there is no listener {_short(self._listener)}")
        actions: list[dict[str, Any]] = found[0]["DefaultActions"]
        return actions

    def _forward(self, actions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The target groups with their weights."""
        forward = next((one for one in actions if one["Type"] == "forward"), None)
        if forward is None:
            raise EnvironmentFault(f"the listener {_short(self._listener)} does not forward to target groups")
        groups: list[dict[str, Any]] = forward.get("ForwardConfig", {}).get("TargetGroups") or [
            {"TargetGroupArn": forward["TargetGroupArn"], "Weight": 1}
        ]
        return groups


def _short(arn: str) -> str:
    return arn.rpartition(":")[2]
