"""A push whose image is built, pushed, and run by its id; the worker is killed in the middle of the build."""

import os
import signal

import docker
import pytest

from agent.admin.cleaning import collect_garbage
from agent.config import Docker as Settings
from agent.config import Retention
from tests.support import images
from tests.support.attempts import utc_now
from tests.support.faults import record
from tests.support.system import System

CONFIG = """
protected = ["main"]
[builds]
enabled = true
[secrets.PASSWORD]
file = "password"
[registries.shop]
repositories = ["{host}/shop/**"]
user = "ci"
password = "PASSWORD"
"""
PIPELINE = """
stages:
  - name: build
    actions:
      - name: web
        uses: image
        with: {{args: {{BUILD: "${{{{ execution.number }}}}"}}, push: "{host}/shop/system:${{{{ execution.number }}}}"}}
  - name: try
    actions:
      - {{name: it, image: "${{{{ web.image }}}}", run: cat /srv/version}}
"""
DOCKERFILE = f"""
FROM {images.BUSYBOX}
ARG BUILD
COPY version /srv/version
RUN sleep 2 && echo "build $BUILD" >> /srv/version
"""


@pytest.fixture
def made(tmp_path, busybox, registry):
    made = System(tmp_path / "repo", CONFIG.format(host=registry.host))
    (made.directory / "password").write_text("PASSWORD\n")
    (made.directory / "password").chmod(0o600)
    made.commit({".pipeline/release.yaml": PIPELINE.format(host=registry.host), "Dockerfile": DOCKERFILE, "version": "3\n"})
    yield made
    made.end()


def test_a_build_survives_its_worker(made, registry):
    client = docker.APIClient(version="auto")
    steps = lambda: [each for each in client.containers(all=True) if "build $BUILD" in each["Command"]]  # noqa: E731
    ours = lambda: [tag for each in client.images() for tag in each["RepoTags"] or () if made.identity in tag]  # noqa: E731
    made.queued()
    worker = made.worker()
    made.until(steps, "a step of the build runs")
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert made.work() == 0, made.log
    assert steps() == []  # neither that of the killed worker nor another
    stages = record(made)["stages"]
    assert [stage["status"] for stage in stages] == ["Succeeded", "Succeeded"], stages
    built = stages[0]["actions"][0]["outputs"]
    assert built["digest"] == registry.digest("shop/system:1")
    assert b"3\nbuild 1\n" in made.note("pipeline-log", made.head)
    assert [tag.partition("/making")[1] for tag in ours()] == [""]
    rules = Retention(artifacts="1d")
    assert [freed.names for freed in collect_garbage(made.directory, rules, utc_now(), dry_run=False, docker=Settings())][
        -1
    ] == ()
    client.remove_image(ours()[0])
    client.close()
