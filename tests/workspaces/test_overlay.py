"""Workspaces as overlay mounts, and which kind can be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault
from agent.workspaces.choose import choose, probe
from agent.workspaces.mounts import mounted, unmount
from agent.workspaces.overlay import OverlayWorkspaces
from tests.contracts.workspaces import WorkspacesContract


@pytest.mark.usefixtures("as_root")
class TestOverlay(WorkspacesContract):
    @pytest.fixture
    def workspaces(self, root: Path):
        workspaces = OverlayWorkspaces(root)
        yield workspaces
        for name in workspaces.names():
            workspaces.remove(name)
        assert list(mounted(root)) == []

    def test_nothing_is_copied(self, workspaces: OverlayWorkspaces, lower: Path, root: Path):
        workspaces.create("a", (lower,))
        assert list((root / "a" / "upper").iterdir()) == []

    def test_it_comes_back_after_the_machine_lost_its_mounts(self, workspaces: OverlayWorkspaces, lower: Path):
        seen = workspaces.create("a", (lower,))
        (seen / "made").write_text("before")
        unmount(seen)
        assert workspaces.names() == ("a",)
        assert (workspaces.create("a", (lower,)) / "made").read_text() == "before"

    def test_one_in_use_is_removed_all_the_same(self, workspaces: OverlayWorkspaces, lower: Path, root: Path):
        seen = workspaces.create("a", (lower,))
        user = subprocess.Popen(["sleep", "1000"], cwd=seen)
        try:
            workspaces.remove("a")
            assert list(mounted(root)) == []
        finally:
            user.kill()
            user.wait()

    def test_devices_in_it_are_dead(self, workspaces: OverlayWorkspaces, lower: Path):
        device = workspaces.create("a", (lower,)) / "null"
        os.mknod(device, 0o600 | 0o020000, os.makedev(1, 3))
        with pytest.raises(PermissionError):
            device.read_bytes()

    def test_a_missing_checkout_is_told(self, workspaces: OverlayWorkspaces, tmp_path: Path):
        with pytest.raises(EnvironmentFault, match="nowhere"):
            workspaces.create("a", (tmp_path / "nowhere",))

    def test_too_many_layers_are_told(self, workspaces: OverlayWorkspaces, tmp_path: Path):
        layers = tuple(tmp_path / f"{'layer' * 20}{number}" for number in range(40))
        for layer in layers:
            layer.mkdir()
        with pytest.raises(EnvironmentFault, match="too many"):
            workspaces.create("a", layers)

    def test_a_mount_without_its_directory_is_found(self, workspaces: OverlayWorkspaces, lower: Path, root: Path):
        workspaces.create("a", (lower,))
        assert [point.parent.name for point in mounted(root)] == ["a"]

    def test_here_it_is_chosen(self, tmp_path: Path):
        assert probe(tmp_path / "w").kind == "overlay"
        assert isinstance(choose(tmp_path / "w"), OverlayWorkspaces)
        assert list(tmp_path.iterdir()) == [tmp_path / "w"]


PROBE = """
import os, sys
from pathlib import Path
from agent.workspaces.choose import probe
os.setgid(65534); os.setuid(65534)
choice = probe(Path(sys.argv[1]))
print(choice.kind, choice.why)
"""


def test_who_may_not_mount_copies_and_knows_why(as_root: None):
    home = Path("/var/tmp") / f"git-pipeline-test-{os.getpid()}"
    home.mkdir()
    os.chown(home, 65534, 65534)
    try:
        command = [sys.executable, "-c", PROBE, home / "w"]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    finally:
        subprocess.run(["rm", "-rf", home], check=True)
    assert done.stdout.startswith("copy the workspace"), done.stderr
    assert "not permitted" in done.stdout
