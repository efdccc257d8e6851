"""The login at ECR that `image` needs, on moto's server; the images go to a real registry."""

import os

import pytest

from agent.actions.image import ImageAction
from agent.config import Config
from tests.contracts.providers import ProviderContract
from tests.support import images
from tests.support.building import building

IDENTITY = os.urandom(4).hex()  # other runs may share the engine
FILES = {"Dockerfile": f"FROM {images.BUSYBOX}\nRUN echo {IDENTITY} > /srv\n"}


class TestContract(ProviderContract):
    """The same content is the same image, however often it is pushed; the repository is made once."""

    uses, provider, good_for = "image", ImageAction, 1

    @pytest.fixture
    def bench(self, tmp_path, busybox, registry, cloud):
        self.registry, self.repository = registry, f"ecr-{tmp_path.name}".lower().replace("_", "-")
        self.options = {"push": f"{registry.host}/{self.repository}/api:1"}
        known = {
            "protected": ["main"],
            "builds": {"enabled": True},
            "accounts": {"default": {"region": "eu-west-1"}},
            "registries": {"ecr": {"repositories": [f"{registry.host}/**"], "account": "default", "create": True}},
        }
        with building(tmp_path, IDENTITY, FILES, Config.model_validate(known)) as bench:
            yield bench

    def held(self, cloud):
        made = [each["repositoryName"] for each in cloud.client("ecr").describe_repositories()["repositories"]]
        return [name for name in made if self.registry.digest(f"{name}:1")]

    def after(self, times):
        return [f"{self.repository}/api"] if times else []

    test_its_time_is_over_or_it_is_stopped = None  # nothing of AWS is waited for; tests/actions/test_image.py ends builds
