"""A host with a real sshd for the tests of a module."""

import pytest

from tests.support.farm import Farm, Host


@pytest.fixture(scope="module")
def host(farm: Farm) -> Host:
    return farm.host()
