"""`git pipeline log -f` on a server with a real worker: what is printed comes as it is printed, once."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_goes_on_until_the_end(repo, call):
    talking = (
        "      - name: talk\n        runner: local\n        run: |\n"
        f"          echo first; until [ -e {repo.gates}/talk ]; do sleep 0.03; done; echo second\n"
    )
    repo.commit_release(repo.stage("build", talking))
    call("start", "release", "--detach")
    words = [sys.executable, "-m", "agent", "log", "release", "-f", "--repo", str(repo.bare)]
    repo.wait(lambda: repo.row().status == "InProgress", "it runs")
    process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    with process:
        assert [process.stdout.readline() for _ in range(2)] == ["==> release #1  build/talk\n", "first\n"]
        repo.let("talk")
        assert process.stdout.read() == "second\n"
    assert process.returncode == 0
