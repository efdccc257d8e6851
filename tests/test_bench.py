"""`python -m bench`: every name that it offers can be measured."""

from importlib.util import find_spec

import pytest

from bench.__main__ import ALL, LONG, main


@pytest.mark.parametrize("name", [*ALL, *LONG])
def test_each_name_has_a_bench(name: str):
    assert find_spec(f"bench.{name}")


def test_an_unknown_name(capsys: pytest.CaptureFixture):
    assert main(["nothing"]) == 2
    assert "push" in capsys.readouterr().err
