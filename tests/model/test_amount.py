"""Amounts of hosts, as files write them."""

import pytest

from agent.model.amount import Amount, amount


@pytest.mark.parametrize("text", ["", "x", "101%", "-1", "1.5", "%", "3 %", "3\n", "\u0663"])
def test_what_is_no_amount(text):
    assert amount(text) is None


@pytest.mark.parametrize(("text", "of_nine"), [("3", 3), ("50%", 5), ("0%", 0), ("100%", 9), ("1%", 1)])
def test_a_fraction_counts_as_a_whole_host(text, of_nine):
    found = amount(text)
    assert found is not None
    assert found.up(9) == of_nine
    assert str(found) == text


def test_it_is_a_value():
    assert amount("3") == Amount(number=3)
