"""Which hosts an attempt runs on."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

from agent.config import Ec2, HostGroup
from agent.executors.fleet import Fleet
from agent.model.host import Host


def test_who_asks_at_the_same_moment_is_told_the_same_hosts(tmp_path):
    numbers, together = count(), 8
    group = HostGroup(ec2=(Ec2(region="eu-west-1", tags={}),))
    fleet = Fleet(
        {"web": group}, tmp_path / "hosts", lambda places: (Host(name=f"h{next(numbers)}", address="127.0.0.1"),), build=None
    )
    start = Barrier(together)

    def ask(attempt: str) -> tuple[Host, ...]:
        start.wait()
        return fleet.assign(attempt, "an execution", "web")

    with ThreadPoolExecutor(together) as pool:
        for attempt in range(40):
            told = list(pool.map(ask, [f"attempt-{attempt}"] * together))
            assert set(told) == {told[0]}
