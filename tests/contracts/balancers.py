"""What every Balancer and every Switch has to do. A test module inherits from these and gives the fixtures."""

from threading import Event

from agent.model.host import Host

GO_ON = Event()


class BalancerContract:
    """Fixtures: `balancer`, and `hosts`, of which there are two."""

    def inside(self, balancer, host: Host) -> bool:
        """Whether the host has traffic."""
        raise NotImplementedError

    def test_a_host_goes_in_and_out(self, balancer, hosts):
        balancer.allow(hosts[0], GO_ON)
        assert [self.inside(balancer, host) for host in hosts] == [True, False]
        balancer.block(hosts[0], GO_ON)
        assert [self.inside(balancer, host) for host in hosts] == [False, False]

    def test_everything_may_be_said_again(self, balancer, hosts):
        for host in hosts:
            balancer.block(host, GO_ON)
        for _ in range(2):
            balancer.allow(hosts[1], GO_ON)
        assert [self.inside(balancer, host) for host in hosts] == [False, True]
        for _ in range(2):
            balancer.block(hosts[1], GO_ON)
        assert not self.inside(balancer, hosts[1])


class SwitchContract:
    """Fixture: `switch` between the fleets blue, which is live, and green."""

    def test_the_traffic_goes_step_by_step_and_back(self, switch):
        assert switch.shares() == {"blue": 100, "green": 0}
        for share in (10, 50, 100, 0):
            switch.shift({"green": share, "blue": 100 - share})
            assert switch.shares() == {"green": share, "blue": 100 - share}

    def test_the_same_again_changes_nothing(self, switch):
        for _ in range(2):
            switch.shift({"green": 30, "blue": 70})
        assert switch.shares() == {"green": 30, "blue": 70}
