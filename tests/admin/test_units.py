"""The systemd units: judged by systemd itself."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.admin.units import SERVICE, TIMER, Setting, explanation, units

PLAIN = Setting("git", Path(sys.executable), Path("/var/lib/git-pipeline/repositories"))
ODD = Setting("git", Path('/opt/a b/100%/$py"thon'), Path("/srv/my list/50%"))


def parsed(text):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def test_workers_survive_the_unit_and_docker_sees_their_mounts():
    service = parsed(units(PLAIN)[SERVICE])["Service"]
    assert (service["Type"], service["KillMode"], service["User"]) == ("oneshot", "process", "git")
    assert service["ExecStart"] == f"{sys.executable} -I -m agent worker --all"
    assert service["Environment"] == "GIT_PIPELINE_REPOSITORIES=/var/lib/git-pipeline/repositories"
    assert not [key for key in service if key.startswith(("Private", "Protect", "ReadOnly", "Temporary", "Bind"))]
    assert service["NoNewPrivileges"] == "yes"


def test_the_timer_comes_every_minute():
    timer = parsed(units(PLAIN)[TIMER])
    assert (timer["Timer"]["OnCalendar"], timer["Timer"]["Unit"]) == ("*:0/1", SERVICE)
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_odd_paths_are_written_as_systemd_reads_them():
    text = units(ODD)[SERVICE]
    assert 'ExecStart="/opt/a b/100%%/$$py\\"thon" -I -m agent worker --all\n' in text
    assert 'Environment="GIT_PIPELINE_REPOSITORIES=/srv/my list/50%%"\n' in text
    assert "ConditionPathExists=/srv/my list/50%%\n" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("odd", [False, True])
def test_systemd_accepts_them(tmp_path, odd):
    setting = PLAIN._replace(user="root")
    if odd:
        python = tmp_path / "a b%c" / "python"
        python.parent.mkdir()
        python.symlink_to(sys.executable)
        setting = Setting("root", python, tmp_path / "my list")
    for name, text in units(setting).items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / TIMER), str(tmp_path / SERVICE)],
        capture_output=True,
        text=True,
    )
    ours = [line for line in done.stderr.splitlines() if "git-pipeline" in line]
    assert ours == []


def test_the_explanation_names_what_to_do():
    text = explanation(PLAIN)
    assert "/etc/systemd/system" in text
    assert f"systemctl enable --now {TIMER}" in text
