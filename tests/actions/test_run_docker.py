"""The `run` action with real containers, real overlays and a real store."""

import pytest

from agent.actions.run import RunAction
from agent.artifacts import pack
from agent.model.outcome import Reason, Status
from agent.model.plan import ArtifactOutput, Cache
from agent.workspaces.choose import choose
from tests.support import engine, executors, images
from tests.support.attempts import Bench, attempt

WORK = {"runner": "docker", "image": images.BUSYBOX}
PIP = Cache(paths=("~/.cache/pip", "deps/modules"), key_files=("requirements.txt",))


@pytest.fixture(scope="module", autouse=True)
def busybox():
    engine.ensure()
    images.busybox()


@pytest.fixture
def bench(tmp_path):
    workspaces = choose(tmp_path / "layers")
    made = executors.docker(str(tmp_path))
    yield Bench(tmp_path, {"requirements.txt": "a==1\n"}, made, workspaces)
    made.sweep(frozenset())
    made.close()
    for name in workspaces.names():
        workspaces.remove(name)


def perform(bench, script, number=1, work=None, **fields):
    bench.log.data = b""
    return RunAction().perform(attempt(script, number=number, work=WORK | (work or {}), **fields), bench)


def test_a_container_with_outputs_and_artifacts(bench, tmp_path):
    script = """
        mkdir dist; echo "$PIPELINE_NAME in $PIPELINE_WORKSPACE" > dist/x; chmod +x dist/x
        echo v=1 >> "$PIPELINE_OUTPUT"; echo "$HOME"
    """
    outcome = perform(bench, script, artifacts=(ArtifactOutput(name="dist", files=("dist/**",)),), outputs=("v",))
    assert (outcome.status, outcome.outputs) == (Status.SUCCEEDED, {"v": "1"}), outcome.message
    assert bench.log.data == b"/run/git-pipeline/home\n"
    assert outcome.image.startswith("sha256:") or "@sha256:" in outcome.image
    pack.unpack(bench.artifacts.fetch(outcome.artifacts[0].digest), tmp_path, "fetched")
    assert (tmp_path / "fetched/dist/x").read_text() == "release in /workspace\n"
    assert (tmp_path / "fetched/dist/x").stat().st_mode & 0o100


def test_an_exit_code(bench):
    outcome = perform(bench, "exit 7")
    assert (outcome.status, outcome.reason, outcome.exit_code) == (Status.FAILED, Reason.EXIT, 7)


@pytest.mark.parametrize("user", ["", "1000"])
def test_a_cache_is_kept_between_containers_whoever_they_run_as(bench, user):
    fill = "ls ~/.cache/pip deps/modules; mkdir -p ~/.cache/pip/a; echo w >> ~/.cache/pip/a/wheel; echo m >> deps/modules/m"
    for number in (1, 2):
        bench.files["requirements.txt"] = f"a=={number}\n"
        outcome = perform(bench, fill, number, {"user": user}, cache=(PIP,))
        assert outcome.succeeded, (outcome.message, bench.log.data)
        bench.forget(attempt(fill, number=number))
    assert {b"a", b"m"} <= set(bench.log.data.split())
    outcome = perform(bench, "cat ~/.cache/pip/a/wheel; rm -r ~/.cache/pip/a", 3, {"user": user}, cache=(PIP,))
    assert (outcome.status, bench.log.data) == (Status.SUCCEEDED, b"w\nw\n")
    assert any("deps/modules: found" in notice for notice in bench.log.notices)
