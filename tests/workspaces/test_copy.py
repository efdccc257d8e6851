"""Workspaces as copies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault
from agent.workspaces.copy import CopyWorkspaces
from tests.contracts.workspaces import WorkspacesContract


class TestCopy(WorkspacesContract):
    @pytest.fixture
    def workspaces(self, root: Path) -> CopyWorkspaces:
        return CopyWorkspaces(root)

    def test_what_a_crash_left_half_is_made_again(self, workspaces: CopyWorkspaces, lower: Path, root: Path):
        (root / "a" / "growing").mkdir(parents=True)
        (root / "a" / "growing" / "stray").touch()
        assert not (workspaces.create("a", (lower,)) / "stray").exists()

    def test_a_missing_checkout_is_told(self, workspaces: CopyWorkspaces, tmp_path: Path):
        with pytest.raises(EnvironmentFault, match="nowhere"):
            workspaces.create("a", (tmp_path / "nowhere",))


REMOVE = """
import os, sys
from pathlib import Path
from agent.workspaces.trees import remove_tree
os.setuid(65534)
remove_tree(Path(sys.argv[1]))
"""


def test_somebody_who_is_not_root_can_remove_what_he_closed(as_root: None, tmp_path: Path):
    tree = Path("/var/tmp") / f"git-pipeline-test-{os.getpid()}"
    (tree / "closed" / "inner").mkdir(parents=True)
    (tree / "closed" / "inner" / "file").touch()
    for path in (tree, tree / "closed", tree / "closed" / "inner", tree / "closed" / "inner" / "file"):
        os.chown(path, 65534, 65534)
    (tree / "closed" / "inner").chmod(0)
    (tree / "closed").chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", REMOVE, tree], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    left = list((tree / "closed").rglob("*")) if tree.exists() else []
    subprocess.run(["rm", "-rf", tree], check=True)
    assert left == [], done.stderr
