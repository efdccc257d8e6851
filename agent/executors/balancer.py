"""What leads traffic to hosts, as deployments need it: small contracts, and dummies that only remember what they were told."""

from collections.abc import Mapping
from threading import Event
from typing import Protocol

from agent.model.host import Host


class Balancer(Protocol):
    """Leads traffic to the hosts of one group. Safe from several threads; every call may be made again.

    Raises EnvironmentFault if it cannot be asked, takes too long, or `stop` is set while it waits.
    """

    def block(self, host: Host, stop: Event) -> None:
        """Take a host out; returns when nothing is on its way to it any more. Harmless for one that is not in."""

    def allow(self, host: Host, stop: Event) -> None:
        """Put a host in; returns when the balancer finds it healthy."""


class Switch(Protocol):
    """Leads traffic to two fleets, to each its share. Raises EnvironmentFault if it cannot be asked."""

    def shares(self) -> Mapping[str, int]:
        """Percent of the traffic by fleet, as it is now."""

    def shift(self, shares: Mapping[str, int]) -> None:
        """Give each fleet its share."""


class DummyBalancer:
    """A Balancer of nothing."""

    def __init__(self) -> None:
        self.inside: set[str] = set()
        self.told: list[str] = []

    def block(self, host: Host, stop: Event) -> None:
        """See Balancer."""
        self.told.append(f"block {host.name}")
        self.inside.discard(host.name)

    def allow(self, host: Host, stop: Event) -> None:
        """See Balancer."""
        self.told.append(f"allow {host.name}")
        self.inside.add(host.name)


class DummySwitch:
    """A Switch of nothing."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        self.told: list[Mapping[str, int]] = []
        self._shares = dict(shares)

    def shares(self) -> Mapping[str, int]:
        """See Switch."""
        return dict(self._shares)

    def shift(self, shares: Mapping[str, int]) -> None:
        """See Switch."""
        self.told.append(dict(shares))
        self._shares |= shares
