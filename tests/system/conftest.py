"""A repository whose workers the tests start, kill and start again."""

import pytest

from agent.workspaces.mounts import mounted, unmount
from tests.support.faults import LOCAL
from tests.support.system import System


@pytest.fixture
def made(tmp_path):
    found = System(tmp_path / "repo", LOCAL)
    yield found
    found.end()
    for mount in list(mounted(tmp_path)):
        unmount(mount)
