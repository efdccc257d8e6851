"""The short form of `make crash`: some points of each kind, here and in Docker, and of the hooks."""

import pytest

from agent.workspaces.mounts import mounted, unmount
from tests.support import system
from tests.support.system import System
from tests.system.crash import LOCAL, Place, crash, crash_hook

HERE = [
    "Journal.append 5 after",
    "LocalExecutor._start 2 after",
    "LocalStore.put 1 after",
    "Notes._swap 4 before",
    "Performer.discard 2 before",
    "Passes.add 1 before",
]
IN_DOCKER = ["SocketAttachment.go 2 after", "DockerEngine.remove 2 before"]
ON_HOSTS = ["Remote.follow 3 before", "Remote.call 7 after", "Performer.discard 5 before"]
IN_HOOKS = ["pre:Database._finish 2 after", "post:Queue.enqueue 1 before"]

THREE = """\
mode: {mode}
defaults: {{runner: local}}
stages:
  - name: one
    actions:
      - name: tell
        run: echo "$PIPELINE_NUMBER one" >> {lines}
  - name: two
    actions:
      - name: tell
        run: echo "$PIPELINE_NUMBER two" >> {lines}
"""


@pytest.fixture(scope="module")
def farm(farm):
    for _ in range(2):
        farm.host()
    return farm


def check(verdict):
    assert (verdict.kills, verdict.problems) == (1, ())


@pytest.mark.parametrize("point", HERE)
def test_the_worker_is_killed(tmp_path, as_root, point):
    check(crash(Place("local"), tmp_path / "repo", point))


@pytest.mark.parametrize("point", IN_DOCKER)
def test_the_worker_is_killed_with_docker(tmp_path, as_root, busybox, point):
    check(crash(Place("docker", busybox), tmp_path / "repo", point))


@pytest.mark.parametrize("point", ON_HOSTS)
def test_the_worker_is_killed_while_hosts_work_for_it(tmp_path, as_root, farm, point):
    check(crash(Place("hosts", farm=farm), tmp_path / "repo", point))


@pytest.mark.parametrize("point", IN_HOOKS)
def test_a_hook_is_killed(tmp_path, point):
    check(crash_hook(tmp_path / "repo", point))


@pytest.mark.parametrize(
    ("mode", "statuses"),
    [("queued", ["Succeeded"] * 3), ("superseded", ["Superseded", "Superseded", "Succeeded"]), ("parallel", ["Succeeded"] * 3)],
)
def test_the_worker_is_killed_while_several_are_queued(tmp_path, mode, statuses):
    made = System(tmp_path / "repo", LOCAL)
    try:
        for number in range(3):
            made.commit({".pipeline/release.yaml": THREE.format(mode=mode, lines=made.lines), "number": str(number)})
            made.queued()
        assert made.work(at="Journal.append 7 after") == -9
        assert made.work() == 0
        rows = made.rows
        assert [row.status for row in rows] == statuses
        went = [str(row.number) for row in rows if row.status == "Succeeded"]
        told = made.lines.read_text().splitlines()
        assert sorted(told) == sorted(f"{number} {stage}" for number in went for stage in ("one", "two"))
        if mode == "queued":
            for stage in ("one", "two"):
                assert [line for line in told if line.endswith(stage)] == [f"{number} {stage}" for number in went]
        assert list(system.leftovers(made)) == []
    finally:
        made.end()
        for mount in list(mounted(tmp_path)):
            unmount(mount)
