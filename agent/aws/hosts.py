"""Hosts by what EC2 says: those that run, by tags, in any number of accounts and regions."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from agent.aws.session import Clients, Identity, Service, Sessions
from agent.config import Ec2
from agent.errors import EnvironmentFault
from agent.model.host import Host

_ADDRESS = {"private": "PrivateIpAddress", "public": "PublicIpAddress", "dns": "PublicDnsName"}
_KEYS = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
_KEY = re.compile(r"(?:ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]{40,}=*")
_PAGE = 200  # reservations


def find(sessions: Sessions, places: Iterable[Ec2]) -> tuple[Host, ...]:
    """The running hosts of all places, sorted by name in each. Raises EnvironmentFault."""
    found = [host for place in places for host in sorted(_of(sessions, place), key=lambda host: (host.name, host.id))]
    counts = Counter(host.name for host in found)
    return tuple(_unique(host, counts[host.name]) for host in found)


def admit(sessions: Sessions, places: Iterable[Ec2], host: Host, user: str, key: str) -> None:
    """Let a public key in for this user within the next minute (EC2 Instance Connect). Raises EnvironmentFault.

    `places`: those of the host's group.
    """
    connect = _service(sessions, _place(places, host), "ec2-instance-connect", f"EC2 Instance Connect for {host.name}")
    which = {"InstanceId": host.id, "AvailabilityZone": host.zone} if host.zone else {"InstanceId": host.id}
    connect("send_ssh_public_key", InstanceOSUser=user, SSHPublicKey=key, **which)


def console_keys(sessions: Sessions, places: Iterable[Ec2], host: Host) -> tuple[str, ...]:
    """The host keys that an instance printed on its console when it first started, as cloud-init does: type and key of each.

    Raises EnvironmentFault, also if there are none: the console keeps little of what is long ago.
    """
    ec2 = _service(sessions, _place(places, host), "ec2", f"the console of {host.name}")
    told = ec2("get_console_output", InstanceId=host.id).get("Output", "")
    keys = tuple(key for block in _KEYS.findall(told) for key in _KEY.findall(block))
    if not keys:
        raise EnvironmentFault(
            f"the console of {host.name} tells no host keys", hint="add them to `host_keys`, or let a `@cert-authority` sign them"
        )
    return keys


def _place(places: Iterable[Ec2], host: Host) -> Ec2:
    for place in places:
        if (place.region, place.role) == (host.region, host.role):
            return place
    raise EnvironmentFault(f"host {host.name} is in no place of its group any more", hint="the operator has changed `ec2`")


def _of(sessions: Sessions, place: Ec2) -> Iterator[Host]:
    where = f"the hosts in {place.region}" + (f" as {place.role}" if place.role else "")
    tags = [{"Name": f"tag:{name}", "Values": _values(value)} for name, value in sorted(place.tags.items())]
    filters = [{"Name": "instance-state-name", "Values": ["running"]}, *tags]
    ec2 = _service(sessions, place, "ec2", where)
    reservations = ec2.pages("describe_instances", "Reservations", Filters=filters, PaginationConfig={"PageSize": _PAGE})
    instances = [each for reservation in reservations for each in reservation["Instances"]]
    return (_host(instance, place) for instance in instances)


def _service(sessions: Sessions, place: Ec2, name: str, about: str) -> Service:
    return Clients(sessions, Identity(role=place.role, external_id=place.external_id), place.region)(name, about=about)


def _host(instance: dict[str, Any], place: Ec2) -> Host:
    identity = instance["InstanceId"]
    address = instance.get(_ADDRESS[place.address]) or ""
    if not address:
        raise EnvironmentFault(f"{identity} in {place.region} has no {place.address} address", hint="choose another `address`")
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    name = re.sub("[^A-Za-z0-9._-]", "-", tags.get("Name", "")).lstrip("._-")[:80] or identity
    zone = instance.get("Placement", {}).get("AvailabilityZone", "")
    return Host(name=name, address=address, id=identity, zone=zone, region=place.region, role=place.role)


def _unique(host: Host, times: int) -> Host:
    return host if times == 1 else msgspec.structs.replace(host, name=f"{host.name}-{host.id}")


def _values(value: str | tuple[str, ...]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
