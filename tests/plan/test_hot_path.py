"""The hooks import these modules at every push: they may load nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"msgspec", "pydantic", "yaml", "networkx", "cronsim", "subprocess", "dataclasses", "logging", "argparse", "pathlib"}


@pytest.mark.parametrize("module", ["agent.model.glob", "agent.plan.patterns", "agent.plan.triggers", "agent.plan.parameters"])
def test_only_light_modules_are_loaded(module):
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert module in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())
