"""The dummies keep the contract."""

import pytest

from agent.executors.balancer import DummyBalancer, DummySwitch
from agent.model.host import Host
from tests.contracts.balancers import BalancerContract, SwitchContract


class TestDummyBalancer(BalancerContract):
    @pytest.fixture
    def balancer(self):
        return DummyBalancer()

    @pytest.fixture
    def hosts(self):
        return [Host(name=name, address="127.0.0.1") for name in ("a", "b")]

    def inside(self, balancer, host):
        return host.name in balancer.inside


class TestDummySwitch(SwitchContract):
    @pytest.fixture
    def switch(self):
        return DummySwitch({"blue": 100, "green": 0})
