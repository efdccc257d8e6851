import pytest

from agent.actions import table
from agent.actions.run import RunAction
from agent.errors import RefusedError


def test_every_built_in_action_can_be_loaded():
    for name in table.BUILTIN:
        assert callable(table.load(name).perform)
    assert isinstance(table.load("run"), RunAction)
    assert table.load("run") is table.load("run")


def test_an_unknown_one():
    with pytest.raises(RefusedError, match="no action nothing") as caught:
        table.load("nothing")
    assert "run" in caught.value.hint
