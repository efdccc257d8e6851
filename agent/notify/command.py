"""Notices to a program of the operator's: the same JSON as a webhook gets, on standard input."""

import subprocess

from agent.model.notice import Notice
from agent.notify import payload
from agent.notify.base import TIMEOUT, Means, NotDelivered
from agent.settings import Notify


class CommandNotifier:
    """Runs the program; only exit code 0 says that the notice was taken. It gets nothing of the notice in its arguments."""

    def __init__(self, rule: Notify, means: Means) -> None:
        self._rule = rule
        self._means = means

    def send(self, notice: Notice) -> None:
        name = self._rule.command[0]
        body = payload.encoded(payload.document(notice, self._means.link_of(notice)))
        try:
            done = subprocess.run(
                self._rule.command, input=body.encode(), capture_output=True, timeout=TIMEOUT, check=False,
                env={**self._means.environment, "PIPELINE_EVENT": notice.event, "PIPELINE_DELIVERY": notice.id},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotDelivered(f"{name}: {error}", hint="look at `command` in [[notify]]") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-200:]
            raise NotDelivered(f"{name} ends with exit code {done.returncode}: {said}", hint="run it by hand to see why")
