"""`ecs` against moto's server, whose services roll here."""

import pytest

from agent.actions.aws.ecs import EcsAction
from agent.aws.session import AwsFault
from agent.errors import DefinitionError
from agent.model.outcome import Reason, Status
from tests.contracts.providers import ProviderContract
from tests.support.attempts import Bench, using
from tests.support.cloudstates import Rollouts

OPTIONS = {"cluster": "prod", "service": "api"}


@pytest.fixture
def rollouts(monkeypatch):
    return Rollouts(monkeypatch)


@pytest.fixture
def bench(tmp_path, cloud, rollouts):
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName="prod")
    web = {"name": "web", "image": "web:1", "memory": 64, "essential": True, "environment": [{"name": "A", "value": "b"}]}
    proxy = {"name": "proxy", "image": "proxy:1", "memory": 64, "essential": False}
    ecs.register_task_definition(family="api", containerDefinitions=[web, proxy])
    ecs.create_service(cluster="prod", serviceName="api", taskDefinition="api", desiredCount=2)
    return Bench(tmp_path)


def perform(bench, options, **more):
    return EcsAction().perform(using("ecs", {**OPTIONS, **options}, **more), bench)


def images(cloud):
    ecs = cloud.client("ecs")
    service = ecs.describe_services(cluster="prod", services=["api"])["services"][0]
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    return {container["name"]: container["image"] for container in definition["containerDefinitions"]}


def test_success(bench, cloud):
    outcome = perform(bench, {"image": "web:2"})
    assert outcome.status is Status.SUCCEEDED
    assert images(cloud) == {"web": "web:2", "proxy": "proxy:1"}
    assert outcome.outputs["task_definition"].endswith("api:2")
    assert outcome.outputs["previous"].endswith("api:1")
    assert outcome.outputs["running"] == "2"
    assert b"(service api) rolls\n" in bench.log.data
    assert "clusters/prod/services/api" in outcome.link


def test_what_the_definition_says_beside_the_image_stays(bench, cloud):
    perform(bench, {"images": {"web": "web:3", "proxy": "proxy:2"}})
    definition = cloud.client("ecs").describe_task_definition(taskDefinition="api:2")["taskDefinition"]
    assert definition["containerDefinitions"][0]["environment"] == [{"name": "A", "value": "b"}]
    assert images(cloud) == {"web": "web:3", "proxy": "proxy:2"}


def test_one_that_does_not_run_goes_back(bench, cloud):
    outcome = perform(bench, {"image": "web:bad"})
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "circuit breaker" in outcome.message
    assert "goes back to api:1" in outcome.message
    assert images(cloud)["web"] == "web:1"


def test_without_going_back(bench, cloud):
    assert not perform(bench, {"image": "web:bad", "rollback": "false"}).succeeded
    assert images(cloud)["web"] == "web:bad"


class TestContract(ProviderContract):
    uses, provider, options = "ecs", EcsAction, {**OPTIONS, "image": "web:2"}
    done, stopped = ["web:2"], ["web:2", "web:1"] * 2

    @pytest.fixture(autouse=True)
    def _rollouts(self, rollouts):
        self.rollouts = rollouts

    def hang(self, monkeypatch):
        self.rollouts.each = 10**6

    def held(self, cloud):
        """The images that the service was led to, one after the other."""
        ecs = cloud.client("ecs")
        events = ecs.describe_services(cluster="prod", services=["api"])["services"][0]["events"]
        rolled = [event["id"] for event in events if event["message"].endswith("rolls")]
        found = [ecs.describe_task_definition(taskDefinition=each)["taskDefinition"] for each in rolled]
        return [each["containerDefinitions"][0]["image"] for each in found]


def test_wrong_names(bench):
    with pytest.raises(AwsFault, match="no service"):
        perform(bench, {"service": "none", "image": "x"})
    with pytest.raises(AwsFault, match="no container db") as caught:
        perform(bench, {"images": {"db": "x"}}, number=2)
    assert "web, proxy" in caught.value.hint
    with pytest.raises(DefinitionError, match="either `image` or `images`"):
        perform(bench, {})
