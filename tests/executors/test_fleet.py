"""Which hosts an attempt runs on."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

from agent.config import Ec2, HostGroup
from agent.executors.fleet import Fleet
from agent.executors.ssh import SshExecutor
from agent.model.host import Host

TOGETHER = 8


def test_who_asks_at_the_same_moment_is_told_the_same_hosts(tmp_path):
    """Each host of a group that rolls back asks for itself."""
    numbers, found = count(), Barrier(TOGETHER)

    def find(_: tuple[Ec2, ...]) -> tuple[Host, ...]:
        found.wait()
        return (Host(name=f"h{next(numbers)}", address="127.0.0.1"),)

    def build(group: HostGroup, host: Host) -> SshExecutor:
        raise AssertionError(f"nobody goes to {host} of {group}")

    fleet = Fleet({"web": HostGroup(ec2=(Ec2(region="eu-west-1", tags={}),))}, tmp_path / "hosts", find, build)
    with ThreadPoolExecutor(TOGETHER) as pool:
        told = list(pool.map(lambda _: fleet.assign("e1-a-b-1", "e1", "web"), range(TOGETHER)))
    assert set(told) == {told[0]}
    assert [path.name for path in (tmp_path / "hosts").iterdir()] == ["e1-a-b-1.json"]
