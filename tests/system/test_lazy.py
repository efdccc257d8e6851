"""What a worker does not load for pipelines that do not use it."""

import os
import subprocess
import sys

import pytest

from tests.support.system import PATIENCE, ROOT, System, pipeline
from tests.system.crash import LOCAL

RUN = f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
from agent.worker.process import main
code = main(sys.argv[1:])
print(code, *sys.modules)
"""


@pytest.fixture
def made(tmp_path):
    found = System(tmp_path / "repo", LOCAL)
    yield found
    found.end()


def test_a_local_pipeline_loads_nothing_of_aws(made):
    made.commit({".pipeline/release.yaml": pipeline("runner: local", str(made.lines))})
    made.queued("HEAD:refs/heads/main")
    environment = {"PATH": os.environ["PATH"], "HOME": str(made.home), "LANG": "C.UTF-8"}
    ran = subprocess.run(
        [sys.executable, "-I", "-c", RUN, str(made.bare)],
        capture_output=True, text=True, env=environment, timeout=PATIENCE, check=True, start_new_session=True,
    )  # fmt: skip
    code, *modules = ran.stdout.split()
    assert code == "0", ran.stderr
    assert [row.status for row in made.rows] == ["Succeeded"]
    assert "agent.actions.run" in modules
    loaded = [
        name for name in modules if name.partition(".")[0] in {"boto3", "botocore"} or name.startswith("agent.actions.aws.")
    ]
    assert not loaded
