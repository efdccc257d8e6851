"""Every test here pushes to a repository of its own."""

import pytest

from tests.support.installed import Installed


@pytest.fixture
def repo(tmp_path):
    installed = Installed(tmp_path)
    yield installed
    installed.close()
