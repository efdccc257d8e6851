"""The kinds of values: what is written, what is meant, what is refused."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from agent.definition.values import duration, flag, number, size, text, whole
from agent.model.quantity import spell


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("7d", 604800), ("1d2h3m4s", 93784), ("0d5s", 5)]
)
def test_durations(written, seconds):
    assert duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["", "30", "0s", "0d0h", "30 m", "m30", "1.5h", "-5m", "5m1h", "1w", "٣m", "9999999d", None, 30, True]
)
def test_no_durations(written):
    with pytest.raises(PydanticCustomError):
        duration(written)


@given(st.integers(1, 10**9))
def test_durations_are_spelt_as_they_are_read(seconds):
    assert duration(spell(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("written", "result"),
    [
        ("512m", 512 << 20),
        ("2g", 2 << 30),
        ("1.5G", 3 << 29),
        ("4096k", 4 << 20),
        ("512MiB", 512 << 20),
        ("8388608", 8 << 20),
        ("1tb", 1 << 40),
    ],
)
def test_sizes(written, result):
    assert size(written) == result


@pytest.mark.parametrize("written", ["", "m", "512 m", "-1g", "1e9", "4095k", "0", None, [1]])
def test_no_sizes(written):
    with pytest.raises(PydanticCustomError):
        size(written)


def test_flags():
    assert [flag(written) for written in ("true", "false", True, False)] == [True, False, True, False]


@pytest.mark.parametrize("written", ["yes", "no", "on", "off", "True", "1", "", None, 1, []])
def test_no_flags(written):
    with pytest.raises(PydanticCustomError):
        flag(written)


@pytest.mark.parametrize(("written", "result"), [("0", 0), ("12", 12), ("-3", -3), (7, 7)])
def test_whole_numbers(written, result):
    assert whole(written) == result


@pytest.mark.parametrize("written", ["012", "1.0", "1e3", "1_000", "٣", "0x10", "9" * 5000, True, None, 1.0])
def test_no_whole_numbers(written):
    with pytest.raises(PydanticCustomError):
        whole(written)


@pytest.mark.parametrize("written", ["", "1.", ".5", "nan", "inf", "-1", "1e3", True, None])
def test_no_numbers(written):
    with pytest.raises(PydanticCustomError):
        number(written)


@pytest.mark.parametrize("written", [None, 1, True, [], {}])
def test_no_texts(written):
    with pytest.raises(PydanticCustomError):
        text(written)
