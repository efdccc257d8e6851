"""elbv2 by moto's real server: targets that come and go, listeners whose weights move, and what is not as it should be."""

from datetime import timedelta
from threading import Event

import pytest

from agent.aws.balancers import Listener, TargetGroups
from agent.aws.session import Clients, Identity, Sessions
from agent.config import parse
from agent.errors import ConfigError, EnvironmentFault
from agent.model.host import Host
from agent.worker.inventory import fleet_of
from agent.worker.places import Directories
from tests.contracts.balancers import BalancerContract, SwitchContract
from tests.support import cloud
from tests.support.instances import Instances

NEVER = Event()
STOPPED = Event()
STOPPED.set()


@pytest.fixture(scope="module")
def endpoint():
    yield from cloud.serve()


@pytest.fixture
def aws(endpoint, monkeypatch):
    for name, value in cloud.environment(endpoint).items():
        monkeypatch.setenv(name, value)
    return cloud.emptied(endpoint)


@pytest.fixture
def elb(aws):
    return Clients(Sessions(), Identity(), cloud.REGION)("elbv2")


@pytest.fixture
def vpc(aws):
    return aws.client("ec2").create_vpc(CidrBlock="127.0.0.0/16")["Vpc"]["VpcId"]


@pytest.fixture
def target_group(aws, vpc):
    def make(name, kind="ip"):
        made = aws.client("elbv2").create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType=kind)
        return made["TargetGroups"][0]["TargetGroupArn"]

    return make


@pytest.fixture
def listener(aws, vpc):
    def make(*actions):
        ec2, elb = aws.client("ec2"), aws.client("elbv2")
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"127.0.{number}.0/24", AvailabilityZone=f"{cloud.REGION}{zone}")
            for number, zone in ((1, "a"), (2, "b"))
        ]
        made = elb.create_load_balancer(Name="lb", Subnets=[each["Subnet"]["SubnetId"] for each in subnets])["LoadBalancers"][0]
        found = elb.create_listener(
            LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=list(actions)
        )
        return found["Listeners"][0]["ListenerArn"]

    return make


def groups(elb, *arns, by="ip", limit=timedelta(seconds=20)):
    return TargetGroups(elb, arns, by=by, port=0, drain=limit, healthy=limit)


class TestTargetGroups(BalancerContract):
    @pytest.fixture
    def hosts(self):
        return [Host(name=f"h{number}", address=f"127.0.1.{number}") for number in (1, 2)]

    @pytest.fixture
    def arns(self, target_group):
        return [target_group("one"), target_group("two")]

    @pytest.fixture
    def balancer(self, elb, arns):
        return groups(elb, *arns)

    @pytest.fixture(autouse=True)
    def look(self, aws, arns):
        self.client, self.arns = aws.client("elbv2"), arns

    def inside(self, balancer, host):
        found = [
            {one["Target"]["Id"] for one in self.client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]}
            for arn in self.arns
        ]
        assert found[0] == found[1]
        return host.address in found[0]

    def test_who_does_not_become_healthy_in_time_is_told(self, elb, hosts, arns, monkeypatch):
        slow = groups(elb, *arns, limit=timedelta(0))
        monkeypatch.setattr(slow, "_state", lambda group, target: ("unhealthy", "Target.FailedHealthChecks"))
        with pytest.raises(EnvironmentFault, match=r"load balancer: h1 is unhealthy Target\.FailedHealthChecks in .* after 0 s"):
            slow.allow(hosts[0], NEVER)

    def test_a_stop_ends_the_waiting(self, elb, hosts, arns, monkeypatch):
        draining = groups(elb, *arns)
        monkeypatch.setattr(draining, "_state", lambda group, target: ("draining", ""))
        with pytest.raises(EnvironmentFault, match="load balancer: stopped while h1 is draining in"):
            draining.block(hosts[0], STOPPED)

    def test_instances_by_their_ids(self, aws, elb, target_group):
        identity = Instances(aws).start("127.0.3.7", Role="web")
        arn = target_group("instances", "instance")
        groups(elb, arn, by="instance").allow(Host(name="web", address="127.0.3.7", id=identity), NEVER)
        found = aws.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        assert [one["Target"]["Id"] for one in found] == [identity]

    def test_a_host_that_is_no_instance(self, elb, hosts, arns):
        with pytest.raises(EnvironmentFault, match="h1 is no instance"):
            groups(elb, *arns, by="instance").allow(hosts[0], NEVER)

    def test_a_target_group_that_is_gone(self, elb, hosts, arns):
        self.client.delete_target_group(TargetGroupArn=arns[1])
        with pytest.raises(EnvironmentFault, match="elbv2 register_targets"):
            groups(elb, *arns).allow(hosts[0], NEVER)


class TestListener(SwitchContract):
    @pytest.fixture
    def switch(self, elb, target_group, listener):
        fleets = {name: target_group(name) for name in ("blue", "green")}
        return Listener(elb, listener({"Type": "forward", "TargetGroupArn": fleets["blue"]}), fleets)

    def test_other_actions_stay(self, aws, elb, target_group, listener):
        fleets = {name: target_group(name) for name in ("blue", "green")}
        login = {
            "Type": "authenticate-cognito",
            "Order": 1,
            "AuthenticateCognitoConfig": {
                "UserPoolArn": f"arn:aws:cognito-idp:{cloud.REGION}:{cloud.ACCOUNT}:userpool/pool",
                "UserPoolClientId": "client",
                "UserPoolDomain": "domain",
            },
        }
        arn = listener(login, {"Type": "forward", "Order": 2, "TargetGroupArn": fleets["blue"]})
        Listener(elb, arn, fleets).shift({"green": 100, "blue": 0})
        actions = aws.client("elbv2").describe_listeners(ListenerArns=[arn])["Listeners"][0]["DefaultActions"]
        assert [one["Type"] for one in actions] == ["authenticate-cognito", "forward"]
        assert Listener(elb, arn, fleets).shares() == {"blue": 0, "green": 100}

    def test_a_listener_of_others_is_left_alone(self, elb, target_group, listener):
        arn = listener({"Type": "forward", "TargetGroupArn": target_group("strange")})
        with pytest.raises(EnvironmentFault, match="which is of none of the fleets"):
            Listener(elb, arn, {name: target_group(name) for name in ("blue", "green")}).shares()

    def test_a_listener_that_does_not_forward(self, elb, listener):
        answer = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": ""}
        arn = listener({"Type": "fixed-response", "FixedResponseConfig": answer})
        with pytest.raises(EnvironmentFault, match="does not forward to target groups"):
            Listener(elb, arn, {}).shares()


TEXT = """
[hosts.web]
fleets = ["web-blue", "web-green"]
balancer = {{region = "eu-west-1", listener = "{listener}"}}
[hosts.web-blue]
addresses = ["127.0.1.1"]
balancer = {{region = "eu-west-1", target_groups = ["{blue}"], by = "ip"}}
[hosts.web-green]
addresses = ["127.0.1.2"]
balancer = {{region = "eu-west-1", target_groups = ["{green}"], by = "ip"}}
"""


def test_the_operators_configuration_is_what_is_asked(aws, target_group, listener, tmp_path):
    blue, green = target_group("blue"), target_group("green")
    arn = listener({"Type": "forward", "TargetGroupArn": blue})
    config = parse({"config.toml": TEXT.format(listener=arn, blue=blue, green=green).encode()})
    fleet = fleet_of(Directories(tmp_path), config, {"HOME": str(tmp_path)}, "repository")
    assert fleet.fleets("web") == ("web-blue", "web-green")
    assert fleet.switch("web").shares() == {"web-blue": 100, "web-green": 0}
    balancer = fleet.balancer("web-green")
    assert balancer is not None
    balancer.allow(fleet.hosts("web-green")[0], NEVER)
    found = aws.client("elbv2").describe_target_health(TargetGroupArn=green)["TargetHealthDescriptions"]
    assert [one["Target"]["Id"] for one in found] == ["127.0.1.2"]
    assert fleet.balancer("web") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[hosts.web]\nfleets = ["a", "b"]\n', "`fleets` are two other groups"),
        ('[hosts.web]\nfleets = ["a"]\nbalancer = {region = "x", listener = "y"}\n', "`fleets` are two other groups"),
        ('[hosts.web]\nfleets = ["a", "b"]\nbalancer = {region = "x", listener = "y"}\n', "the fleet a needs a section"),
        ("[hosts.web]\n", "a group needs `addresses`, `ec2` or `fleets`"),
    ],
)
def test_what_is_wrong_in_the_configuration(text, said):
    with pytest.raises(ConfigError, match=said):
        parse({"config.toml": text.encode()})
