"""The FIFO: rings are neither lost nor do they block, and nobody listening is told apart from somebody."""

import os
import select

import pytest

from agent.worker import wake


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path)


def test_nobody_listens(directory):
    assert not wake.ring(directory)
    wake.make(directory)
    wake.make(directory)
    assert not wake.ring(directory)
    assert not wake.is_heard(directory)


def test_a_ring_is_heard_once(directory):
    listener = wake.listen(directory)
    assert wake.is_heard(directory)
    assert not wake.drain(listener)
    assert wake.ring(directory)
    assert select.select([listener], [], [], 5)[0]
    assert wake.drain(listener)
    assert select.select([listener], [], [], 0)[0] == []
    os.close(listener)
    assert not wake.ring(directory)


def test_more_rings_than_fit_block_nobody(directory):
    listener = wake.listen(directory)
    assert all(wake.ring(directory) for _ in range(70_000))
    assert wake.drain(listener)
    assert not wake.drain(listener)
    os.close(listener)
