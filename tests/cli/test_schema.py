"""`git pipeline schema` prints what editors read."""

import json

from agent.cli.main import run
from agent.definition.schema import schema


def test_schema(capfd):
    assert run(["schema"]) == 0
    assert json.loads(capfd.readouterr().out) == schema()
