"""`image` on a real engine and with a real registry."""

import os
from threading import Thread

import docker
import pytest

from agent.actions.image import ImageAction
from agent.artifacts.base import ArtifactError
from agent.config import Config
from agent.errors import RefusedError
from agent.model.outcome import Reason, Status
from tests.support import images
from tests.support.attempts import using
from tests.support.building import building
from tests.support.engine import until

IDENTITY = os.urandom(4).hex()  # other runs may share the engine
FILES = {
    "Dockerfile": f"""
        ARG BASE={images.BUSYBOX}
        FROM $BASE AS build
        ARG VERSION={IDENTITY}
        COPY app /srv/app
        RUN echo "version $VERSION" > /srv/version && cat /srv/version && ls -A /srv/app
        FROM build AS test
        RUN exit 3
        """,
    "app/main": "x",
    "app/left.out": "x",
    ".dockerignore": "**/*.out\nDockerfile\n",
}


@pytest.fixture
def client():
    made = docker.APIClient(version="auto")
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path, busybox, registry):
    with building(tmp_path, IDENTITY, FILES, config(registry)) as bench:
        yield bench


def config(registry, **more):
    shop = {"repositories": (f"{registry.host}/shop/**",), "user": "ci", "password": "PASSWORD"}
    known = {"protected": ("main",), "builds": {"enabled": True}, "secrets": {"PASSWORD": {"file": "x"}}}
    return Config.model_validate({**known, "registries": {"shop": shop}, **more})


def perform(bench, options=None, **more):
    return ImageAction().perform(using("image", {"target": "build", **(options or {})}, **more), bench)


def said(bench):
    return bench.log.data.decode()


def test_an_image_is_built_and_pushed(bench, client, registry):
    name = f"{registry.host}/shop/web"
    options = {"args": {"VERSION": IDENTITY}, "labels": {"team": "a"}, "push": [f"{name}:4", f"{name}:latest"]}
    outcome = perform(bench, options)
    assert outcome.succeeded, outcome.message
    assert f"version {IDENTITY}" in said(bench)
    assert "main\n" in said(bench)
    assert "left.out" not in said(bench)
    made = client.inspect_image(outcome.outputs["image"])
    assert made["Config"]["Labels"]["team"] == "a"
    assert not [key for key in made["Config"]["Labels"] if "git-pipeline" in key and key != images.LABEL]
    digest = registry.digest("shop/web:4")
    assert registry.digest("shop/web:latest") == digest == outcome.outputs["digest"]
    assert outcome.outputs["reference"] == f"{name}@{digest}"
    assert [tag for tag in made["RepoTags"] if not tag.startswith("localhost/git-pipeline-")] == []
    bench.log.data = b""
    again = perform(bench, options, number=2)
    assert again.outputs == outcome.outputs
    assert "Using cache" in said(bench)


def test_a_step_that_fails_is_a_failure_and_leaves_nothing(bench):
    outcome = perform(bench, {"target": ""})
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "code: 3" in outcome.message
    outcome = perform(bench, {"dockerfile": "app/main"}, number=2)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert "line 1: unknown instruction" in outcome.message


@pytest.mark.parametrize(("how", "seconds"), [("stop", 60), ("timeout", 2)])
def test_a_build_ends_when_it_must(bench, client, how, seconds):
    token = f"sleep 100; echo {how}"
    bench.files = {"Dockerfile": f"FROM {images.BUSYBOX}\nRUN {token}\n"}
    outcomes = []
    thread = Thread(target=lambda: outcomes.append(perform(bench, {"target": ""}, seconds=seconds)))
    thread.start()
    running = lambda: [each for each in client.containers(all=True) if token in each["Command"]]  # noqa: E731
    until(running, "the step runs")
    if how == "stop":
        bench.stop.set()
    thread.join(30)
    (outcome,) = outcomes
    assert (outcome.status, outcome.reason) in {(Status.ABANDONED, Reason.STOPPED), (Status.FAILED, Reason.TIMEOUT)}
    until(lambda: not running(), "the engine has given the build up")


def test_an_image_for_the_engines_own_platform(bench, client):
    own = "{Os}/{Arch}".format_map(client.version())
    outcome = perform(bench, {"platform": own})
    assert outcome.succeeded, outcome.message
    assert perform(bench, {"platform": own.partition("/")[2]}, number=2).outputs == outcome.outputs
    made = client.inspect_image(outcome.outputs["image"])
    assert f"{made['Os']}/{made['Architecture']}" == own


@pytest.mark.parametrize(
    "lines", [f"FROM {images.BUSYBOX}", 'FROM scratch\nCOPY app /app\nRUN ["/app/tool"]'], ids=["from", "run"]
)
def test_an_image_for_another_platform_says_what_is_missing(bench, client, lines):
    """There is neither an image of that platform nor an emulator for it."""
    own, other = "{Os}/{Arch}".format_map(client.version()), "linux/s390x"
    bench.files = {"Dockerfile": f"{lines}\n", "app/tool": ""}
    tool = bench.workspace(using("image", {})) / "app" / "tool"
    tool.write_bytes(b"\x7fELF\2\2\1" + bytes(9) + b"\0\2\0\x16" + bytes(44))  # a program for that machine
    tool.chmod(0o755)
    outcome = perform(bench, {"target": "", "platform": other})
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT)
    assert f"the engine here is {own}: to build for {other} it needs images of that platform" in outcome.message
    assert not bench.executor("docker").images.forget(frozenset(), dry_run=True), "nobody runs or pushes it by mistake"


def test_files_alone_need_no_emulator(bench, client):
    bench.files = {"Dockerfile": "FROM scratch\nCOPY app /app\n", "app/x": "x"}
    outcome = perform(bench, {"target": "", "platform": "linux/arm64"})
    assert outcome.succeeded, outcome.message
    assert client.inspect_image(outcome.outputs["image"])["Architecture"] == "arm64"


def test_what_was_built_is_not_built_again_unless_it_is_gone(bench, client):
    options = {"args": {"VERSION": f"{IDENTITY}-gone"}}
    first = perform(bench, options)
    count = said(bench).count("Step 1")
    assert perform(bench, options).outputs == first.outputs
    assert said(bench).count("Step 1") == 2 * count  # the log is said again as it was
    client.remove_image(first.outputs["image"], force=True, noprune=True)
    assert client.inspect_image(perform(bench, options).outputs["image"])


def test_ecr_gives_the_login_and_makes_the_repository(bench, cloud, registry):
    shop = {"repositories": (f"{registry.host}/aws/*",), "account": "default", "create": True}
    bench.config = config(registry, registries={"ecr": shop}, accounts={"default": {"region": "eu-west-1"}})
    for number in (1, 2):
        assert perform(bench, {"push": f"{registry.host}/aws/api:1"}, number=number).succeeded
    assert registry.digest("aws/api:1")
    (repository,) = cloud.client("ecr").describe_repositories()["repositories"]
    assert repository["repositoryName"] == "aws/api"


def test_a_name_that_another_build_takes_meanwhile_is_told(bench, registry, client, monkeypatch):
    name = f"{registry.host}/shop/raced"
    push = bench.executor("docker")._engine.push

    def late(*asked):
        client.tag(images.BUSYBOX, name, "1", force=True)
        return push(*asked)

    monkeypatch.setattr(bench.executor("docker")._engine, "push", late)
    outcome = perform(bench, {"push": f"{name}:1"})
    assert (outcome.status, "took the name" in outcome.message) == (Status.FAILED, True)


def test_a_wrong_password_is_a_failure(bench, registry):
    shop = {"repositories": (f"{registry.host}/shop/**",), "user": "ci", "password": "OTHER"}
    bench.config = config(registry, registries={"shop": shop}, secrets={"OTHER": {"file": "x"}})
    outcome = perform(bench, {"push": f"{registry.host}/shop/secret:1"})
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.EXIT), outcome
    assert "shop/secret" not in registry.repositories()


REFUSED = {
    "nobody may build": ({}, {"builds": {}}, "refs/heads/main"),
    "not this ref": ({}, {"builds": {"enabled": True, "refs": ("main",)}}, "refs/heads/topic"),
    "no network": ({"network": "true"}, {"docker": {"network": False}}, "refs/heads/main"),
    "not this repository": ({"push": "registry.example.com/other:1"}, {}, "refs/heads/main"),
    "no login for a ref that is not protected": ({"push": "HOST/shop/web:1"}, {}, "refs/heads/topic"),
    "not this image": ({}, {"docker": {"images": ("python:*",)}}, "refs/heads/main"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_operator_does_not_open_is_refused(bench, registry, case):
    options, more, ref = REFUSED[case]
    bench.config = config(registry, **more)
    with pytest.raises(RefusedError):
        perform(bench, {key: value.replace("HOST", registry.host) for key, value in options.items()}, ref=ref)
    assert "Step" not in said(bench)


@pytest.mark.parametrize("line", ["FROM ${BASE%x}", f"FROM {images.BUSYBOX}\nADD http://127.0.0.1/x /"])
def test_a_dockerfile_that_could_bring_in_anything_is_refused(bench, registry, line):
    bench.files = {"Dockerfile": line}
    bench.config = config(registry, docker={"images": ("git-pipeline-test/*",)})
    with pytest.raises(RefusedError):
        perform(bench, {"target": ""})


def test_a_dockerfile_is_a_plain_file_of_the_context(bench, tmp_path):
    bench.files = {"Dockerfile.txt": f"FROM {images.BUSYBOX}\n"}
    place = bench.workspace(using("image", {}))
    (place / "Dockerfile").symlink_to("/etc/passwd")
    for name in ("Dockerfile", "../Dockerfile", "/etc/passwd"):
        with pytest.raises(ArtifactError):
            perform(bench, {"dockerfile": name, "target": ""})
    with pytest.raises(ArtifactError):
        perform(bench, {"context": ".."})
