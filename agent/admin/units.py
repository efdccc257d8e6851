"""The systemd units that look after all repositories of a user once a minute: schedules, time-outs, reboots. Pure text.

Without a mount namespace (Private…, Protect…): workers started by the units go on after them, and what they mount for their
actions must be seen by the Docker engine. KillMode=process lets them go on.
"""

from pathlib import Path
from typing import NamedTuple

SERVICE, TIMER = "git-pipeline.service", "git-pipeline.timer"
DIRECTORY = Path("/etc/systemd/system")


class Setting(NamedTuple):
    """Who runs it, with which interpreter, and where the list of repositories stands (admin/registry.py)."""

    user: str
    python: Path
    registry: Path


_SERVICE = """\
[Unit]
Description=Look after the pipelines of all git repositories of {user}
After=network-online.target docker.service
Wants=network-online.target
ConditionPathExists={registry}

[Service]
Type=oneshot
User={user}
Environment={environment}
ExecStart={command}
WorkingDirectory=/
TimeoutStartSec=10min
# Workers go on after this unit has ended, and nothing of theirs may be taken away.
KillMode=process
UMask=0077
# No Private...= or Protect...=: Docker must see what workers mount for their actions.
# NoNewPrivileges also keeps scripts with `runner: local` from using sudo; remove it if they have to.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native
"""

_TIMER = f"""\
[Unit]
Description=Every minute: schedules, time-outs and what a reboot interrupted, of all git pipelines

[Timer]
OnBootSec=15s
OnCalendar=*:0/1
AccuracySec=5s
Unit={SERVICE}

[Install]
WantedBy=timers.target
"""


def units(setting: Setting) -> dict[str, str]:
    """The text of each unit by its file name."""
    service = _SERVICE.format(
        user=setting.user.replace("%", "%%"),
        registry=str(setting.registry).replace("%", "%%"),
        environment=_word(f"GIT_PIPELINE_REPOSITORIES={setting.registry}"),
        command=" ".join((_word(str(setting.python), command=True), "-I -m agent worker --all")),
    )
    return {SERVICE: service, TIMER: _TIMER}


def _word(text: str, *, command: bool = False) -> str:
    """A word as systemd takes it (systemd.syntax(7)): specifiers and quotes escaped; `$` only means something in commands."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    escaped = escaped.replace("$", "$$") if command else escaped
    return f'"{escaped}"' if set(escaped) & set(" \t'\"\\;") else escaped


def explanation(setting: Setting) -> str:
    """Where to put them, and what to run then."""
    return (
        f"Put the two units into {DIRECTORY} (as root), then:\n"
        f"  systemctl daemon-reload && systemctl enable --now {TIMER}\n"
        f"  systemctl list-timers {TIMER}; journalctl -u {SERVICE}\n"
        f"They look after the repositories listed in {setting.registry}, as user {setting.user}."
    )
