"""Shells that hosts have."""

import shutil

import pytest


@pytest.fixture(params=[["sh"], ["busybox", "sh"], ["bash"]], ids=" ".join)
def shell(request) -> list[str]:
    if not shutil.which(request.param[0]):
        pytest.skip(f"needs {request.param[0]}")
    return request.param
