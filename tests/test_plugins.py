"""The table of what can be plugged in, and what others bring beside it."""

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent import plugins
from agent.actions.run import RunAction
from agent.errors import RefusedError

ALL = [(group, name) for group, known in plugins.BUILTIN.items() for name in known]


@pytest.mark.parametrize(("group", "name"), ALL)
def test_everything_built_in_can_be_loaded(group, name):
    assert isinstance(plugins.load(group, name), type)


@pytest.mark.parametrize("name", sorted({*plugins.BUILTIN["actions"], *plugins.BUILTIN["rules"]} - plugins.KINDS))
def test_a_provider_is_one_short_file(name):
    """Those behind `uses`; one that is longer has a noun of its own in it."""
    groups = [group for group in ("actions", "rules") if name in plugins.BUILTIN[group]]
    files = [importlib.util.find_spec(plugins.BUILTIN[group][name].partition(":")[0]).origin for group in groups]
    assert all(len(Path(file).read_text().splitlines()) <= 150 for file in files)


def test_what_is_loaded_is_the_class():
    assert plugins.load("actions", "run") is RunAction


def test_an_unknown_one():
    with pytest.raises(RefusedError, match="no action nothing") as caught:
        plugins.load("actions", "nothing")
    assert "run" in caught.value.hint


@pytest.fixture
def foreign(tmp_path):
    """A directory with an installed package that brings plug-ins: a new one, a broken one, one with a name of ours."""
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "[git_pipeline.actions]\ntheirs = theirs:Action\nrun = theirs:Action\nbroken = theirs.broken:Action\n"
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text("class Action:\n    pass\n")
    (tmp_path / "theirs" / "broken.py").write_text("raise OSError('no licence')\n")
    return tmp_path


def said(foreign, program):
    text = f"import sys; sys.path.insert(0, {str(foreign)!r})\nfrom agent import plugins\n{textwrap.dedent(program)}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.strip()


def test_an_entry_point_adds_an_action(foreign):
    assert said(foreign, "print(plugins.has('actions', 'theirs'), plugins.load('actions', 'theirs').__module__)") == "True theirs"


def test_an_entry_point_never_replaces_one_of_ours(foreign):
    assert said(foreign, "print(plugins.load('actions', 'run').__module__)") == "agent.actions.run"


def test_a_broken_plug_in_is_an_error_with_its_reason(foreign):
    program = """
        from agent.errors import RefusedError
        try:
            plugins.load('actions', 'broken')
        except RefusedError as error:
            print(error)
    """
    assert "broken cannot be loaded: no licence" in said(foreign, program)


def test_entry_points_are_not_looked_at_for_what_is_built_in(foreign):
    assert said(foreign, "plugins.load('actions', 's3'); print('importlib.metadata' in sys.modules)") == "False"
