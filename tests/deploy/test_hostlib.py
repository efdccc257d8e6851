"""The functions of a deployment's script, as shells run them."""

import os
import signal
import subprocess

from agent.deploy.hostlib import LIBRARY


def test_who_watches_over_a_script_ends_with_it_however_short_it_was(shell, tmp_path):
    script = f"""
        BASE={tmp_path} NAME=x DEPLOYMENT=d LABEL=x COMMIT=x SHARED= ONLY=
        told() {{ :; }}
        {LIBRARY}
        sleep() {{ command sleep 60; echo slept >> {tmp_path}/slept; }}
        n=0
        while [ $n -lt 200 ]; do limited 600 true || exit 9; n=$((n + 1)); done
    """
    process = subprocess.Popen([*shell, "-c", script], start_new_session=True)
    try:
        assert process.wait(120) == 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the sleeping ones, which a job's end takes with it
    assert not (tmp_path / "slept").exists()
