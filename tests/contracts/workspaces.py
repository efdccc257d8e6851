"""What every kind of workspaces promises (agent/workspaces/base.py)."""

import os
from pathlib import Path

import pytest

from agent.workspaces.base import Workspaces


class WorkspacesContract:
    """The suite; a subclass gives `workspaces`, a fixture, under `root`."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "work, spaces:x"

    @pytest.fixture
    def workspaces(self, root: Path):
        raise NotImplementedError

    @pytest.fixture
    def lower(self, tmp_path: Path) -> Path:
        lower = tmp_path / "check,out:\\1"
        (lower / "directory").mkdir(parents=True)
        (lower / "file").write_text("source")
        (lower / "directory" / "deep").write_text("deep")
        (lower / "run").write_text("#!/bin/sh\n")
        (lower / "run").chmod(0o755)
        (lower / "link").symlink_to("file")
        return lower

    def test_it_shows_the_tree(self, workspaces: Workspaces, lower: Path):
        seen = workspaces.create("a", (lower,))
        assert {entry.name for entry in seen.iterdir()} == {"directory", "file", "run", "link"}
        assert (seen / "directory" / "deep").read_text() == "deep"
        assert os.access(seen / "run", os.X_OK)
        assert (seen / "link").readlink() == Path("file")

    def test_writes_touch_nobody_else(self, workspaces: Workspaces, lower: Path):
        one, two = (workspaces.create(name, (lower,)) for name in "ab")
        (one / "file").write_text("changed")
        with (one / "directory" / "deep").open("a") as file:
            file.write("er")
        (one / "run").unlink()
        (one / "new").write_text("new")
        for other in (two, lower):
            assert (other / "file").read_text() == "source"
            assert (other / "directory" / "deep").read_text() == "deep"
            assert (other / "run").exists()
            assert not (other / "new").exists()

    def test_a_directory_can_be_renamed(self, workspaces: Workspaces, lower: Path):
        seen = workspaces.create("a", (lower,))
        (seen / "directory").rename(seen / "moved")
        assert (seen / "moved" / "deep").read_text() == "deep"
        assert (lower / "directory" / "deep").exists()

    def test_the_left_most_wins(self, workspaces: Workspaces, lower: Path, tmp_path: Path):
        above = tmp_path / "above"
        above.mkdir()
        (above / "file").write_text("artifact")
        seen = workspaces.create("a", (above, lower))
        assert (seen / "file").read_text() == "artifact"
        assert (seen / "directory" / "deep").read_text() == "deep"

    def test_the_same_name_is_the_same_one(self, workspaces: Workspaces, lower: Path):
        (workspaces.create("a", (lower,)) / "made").touch()
        assert (workspaces.create("a", (lower,)) / "made").exists()

    def test_removing_twice_and_of_the_unknown(self, workspaces: Workspaces, lower: Path):
        seen = workspaces.create("a", (lower,))
        for name in ("a", "a", "nobody"):
            workspaces.remove(name)
        assert not seen.exists()
        assert workspaces.names() == ()

    def test_names_finds_what_is_left(self, workspaces: Workspaces, lower: Path, root: Path):
        workspaces.create("a", (lower,))
        (root / "half" / "upper").mkdir(parents=True)
        assert workspaces.names() == ("a", "half")
        workspaces.remove("half")
        assert workspaces.names() == ("a",)

    def test_odd_permissions_do_not_keep_it(self, workspaces: Workspaces, lower: Path):
        seen = workspaces.create("a", (lower,))
        (seen / "closed" / "inner").mkdir(parents=True)
        (seen / "closed" / "inner" / "file").touch()
        os.mkfifo(seen / "pipe")
        (seen / "closed" / "inner").chmod(0)
        (seen / "closed").chmod(0)
        workspaces.remove("a")
        assert workspaces.names() == ()

    def test_a_link_out_of_it_is_not_followed_by_its_removal(self, workspaces: Workspaces, lower: Path, tmp_path: Path):
        victim = tmp_path / "victim"
        victim.mkdir()
        (victim / "file").touch()
        seen = workspaces.create("a", (lower,))
        (seen / "out").symlink_to(victim)
        workspaces.remove("a")
        assert (victim / "file").exists()
