"""Groups of hosts: the runner `ssh`. It says which hosts an attempt runs on, and cleans up after it on each of them.

A group is resolved once for an attempt. What it was then is kept in a file, until nothing of the attempt is left on any host:
a worker that comes after finds the same hosts, whatever the inventory says by then.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from agent.config import Ec2, HostGroup
from agent.errors import EnvironmentFault, RefusedError
from agent.executors.balancer import Balancer, Switch
from agent.executors.base import Ending, Job, LogSink, Places
from agent.executors.ssh import SshExecutor
from agent.model.host import Host
from agent.model.outcome import Reason
from agent.model.value import Value

THREADS = 64  # hosts at once
IDLE = 60.0  # seconds after which a connection that nobody uses is closed
SWEEP = 5.0  # seconds that a sweep waits for hosts; then it goes on in the background


class Assigned(Value, frozen=True, kw_only=True):
    """The hosts of one attempt."""

    execution: str
    group: str
    hosts: tuple[Host, ...]


Find = Callable[[tuple[Ec2, ...]], tuple[Host, ...]]
Build = Callable[[HostGroup, Host], SshExecutor]


class Balance(Protocol):
    """Makes what leads traffic."""

    def hosts(self, group: HostGroup) -> Balancer | None:
        """For the hosts of a group, if it has target groups."""

    def fleets(self, group: HostGroup) -> Switch:
        """For a group of fleets."""


class Fleet:
    """All groups of one repository.

    `records`: a directory of its own; `find` asks EC2; `build` makes the executor of a host; `balance` what leads traffic to the
    hosts of a group, or to its fleets.
    """

    def __init__(
        self, groups: Mapping[str, HostGroup], records: Path, find: Find, build: Build, balance: Balance | None = None
    ) -> None:
        self._groups = groups
        self._balance = balance
        self._records = records
        self._find = find
        self._build = build
        self._lock = threading.Lock()
        self._executors: dict[tuple[str, Host], SshExecutor] = {}

    def hosts(self, group: str) -> tuple[Host, ...]:
        """The hosts of a group as they are now, at least one. Raises RefusedError or EnvironmentFault."""
        section = self._group(group)
        if section.fleets:
            raise RefusedError(
                f"host group {group} is two fleets, {' and '.join(section.fleets)}",
                hint="name one of them; `strategy: blue-green` without `slots` deploys to the one that is not live",
            )
        found = (*static(section), *(self._find(section.ec2) if section.ec2 else ()))
        if not found:
            raise EnvironmentFault(f"host group {group} is empty", hint="no running instance has these tags")
        if len({host.name for host in found}) < len(found):
            raise EnvironmentFault(f"host group {group} has two hosts of one name", hint="give them other names")
        return found

    def assign(self, attempt: str, execution: str, group: str) -> tuple[Host, ...]:
        """The hosts of an attempt: those of the group, or those it had when this was asked first."""
        path = self._records / f"{attempt}.json"
        if path.exists():
            return _read(path).hosts
        assigned = Assigned(execution=execution, group=group, hosts=self.hosts(group))
        fresh = self._records / f"{attempt}.{threading.get_ident()}.new"  # hosts of a group may ask at once: the first one counts
        try:
            self._records.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.encode(assigned))
            with suppress(FileExistsError):
                os.link(fresh, path)
            fresh.unlink()
        except OSError as error:
            raise EnvironmentFault(f"{path}: {error.strerror}", hint="is the disk full?") from error
        return _read(path).hosts

    def fleets(self, group: str) -> tuple[str, ...]:
        """The two groups that a group stands for; none if it has hosts of its own. Raises RefusedError."""
        return self._group(group).fleets

    def balancer(self, group: str) -> Balancer | None:
        """What leads traffic to the hosts of a group, if something does. Raises RefusedError."""
        return self._balance.hosts(self._group(group)) if self._balance else None

    def switch(self, group: str) -> Switch:
        """What leads traffic to the fleets of a group. Raises RefusedError."""
        if self._balance is None or not self.fleets(group):
            raise RefusedError(f"host group {group} has no fleets", hint=f"the operator lists two in [hosts.{group}] fleets")
        return self._balance.fleets(self._group(group))

    def on(self, group: str, host: Host) -> SshExecutor:
        """The executor of one host; the same one as long as the worker lives. Raises RefusedError or EnvironmentFault."""
        with self._lock:
            known = self._executors.get((group, host))
        if known:
            return known
        made = self._build(self._group(group), host)  # asks ssh, perhaps: not while others wait
        with self._lock:
            return self._executors.setdefault((group, host), made)

    def place(self, job: Job) -> Places:
        """See Executor; each host has its own places, which its own executor tells."""
        return Places(workspace=str(job.workspace), control=str(job.control), secrets=str(job.secrets or ""))

    def prepare(self, job: Job) -> None:
        """See Executor. Nothing: whether the hosts may be reached is judged when the attempt starts."""

    def run(self, job: Job, log: LogSink, stop: threading.Event) -> Ending:
        """See Executor. A job is for one host: `on` gives its executor."""
        return Ending(reason=Reason.POLICY, message="a script runs on the hosts of a group: write `hosts: GROUP`")

    def discard(self, job_id: str) -> None:
        """See Executor. What a host out of reach keeps is removed by a later sweep; raises EnvironmentFault then."""
        path = self._records / f"{job_id}.json"
        if not path.exists():
            return
        faults = self._remove(path)
        self._hang_up()
        if faults:
            raise EnvironmentFault(f"job {job_id} is still on {len(faults)} hosts: {faults[0].message}", hint=faults[0].hint)

    def sweep(self, keep: frozenset[str]) -> tuple[str, ...]:
        """See Executor. Hosts that answer late are swept in the background."""
        removed: list[str] = []
        for unfinished in self._records.glob("*.new"):
            unfinished.unlink(missing_ok=True)
        threads = [
            threading.Thread(target=self._sweep, args=(path, keep, removed), daemon=True) for path in self._records.glob("*.json")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SWEEP / len(threads))
        return tuple(removed)

    def close(self) -> None:
        """Hang up everywhere."""
        for executor in self._executors.values():
            executor.close()

    def _sweep(self, path: Path, keep: frozenset[str], removed: list[str]) -> None:
        with suppress(EnvironmentFault, FileNotFoundError):
            assigned = _read(path)
            if assigned.execution not in keep and not self._remove(path):
                removed.append(f"job {path.stem} of execution {assigned.execution} on {len(assigned.hosts)} hosts")

    def _remove(self, path: Path) -> list[EnvironmentFault]:
        assigned = _read(path)

        def discard(host: Host) -> EnvironmentFault | None:
            try:
                self.on(assigned.group, host).discard(job_id(path.stem, host))
            except RefusedError:
                return None  # the operator has taken the group away
            except EnvironmentFault as fault:
                return fault
            return None

        with ThreadPoolExecutor(min(THREADS, len(assigned.hosts)), "discard") as pool:
            faults = [fault for fault in pool.map(discard, assigned.hosts) if fault]
        if not faults:
            path.unlink(missing_ok=True)
        return faults

    def _hang_up(self) -> None:
        with self._lock:
            executors = list(self._executors.values())
        for executor in executors:
            executor.remote.close(IDLE)

    def _group(self, name: str) -> HostGroup:
        if name not in self._groups:
            raise RefusedError(
                f"there is no host group {name}", hint="the operator lists it under [hosts] in pipeline/config.toml"
            )
        return self._groups[name]


def job_id(attempt: str, host: Host) -> str:
    """The name of an attempt on one host: two hosts may turn out to be one machine."""
    return f"{attempt}.{host.name}"


def static(group: HostGroup) -> Iterator[Host]:
    """The hosts that the configuration lists."""
    named = group.addresses.items() if isinstance(group.addresses, Mapping) else ((each, each) for each in group.addresses)
    for name, address in named:
        host, colon, port = address.rpartition(":")
        is_port = bool(colon) and port.isdigit() and (":" not in host or host.endswith("]"))
        plain = (host if is_port else address).strip("[]")
        safe = "".join(char if char.isalnum() or char in "._-" else "-" for char in name).lstrip("._-")
        yield Host(name=safe, address=plain, port=int(port) if is_port else 0)


def _read(path: Path) -> Assigned:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Assigned)
    except FileNotFoundError:
        raise
    except (OSError, msgspec.DecodeError) as error:
        raise EnvironmentFault(f"{path} cannot be read: {error}") from error
