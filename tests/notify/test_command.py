"""Programs of the operator's."""

import json

import pytest

from agent.notify.base import NotDelivered
from agent.notify.command import CommandNotifier
from agent.settings import Notify
from tests.contracts.notifiers import NotifierContract
from tests.support.notices import means, one


class TestCommand(NotifierContract):
    @pytest.fixture
    def notifier(self, tmp_path):
        self.box = tmp_path / "box"
        self.box.mkdir()
        script = f'test ! -e {tmp_path}/broken && cat > "$(mktemp {self.box}/XXXXXX)"'
        self.broken = tmp_path / "broken"
        return CommandNotifier(
            Notify(events=("*",), command=("/bin/sh", "-c", script)), means(environment={"PATH": "/usr/bin:/bin"})
        )

    def arrived(self):
        return len(list(self.box.iterdir()))

    def fail(self):
        self.broken.touch()

    def heal(self):
        self.broken.unlink()

    def test_it_gets_the_document(self, notifier):
        notifier.send(one("execution.failed"))
        document = json.loads(next(self.box.iterdir()).read_text())
        assert (document["event"], document["pipeline"], document["number"]) == ("execution.failed", "release", 42)


def test_a_missing_program_is_told():
    with pytest.raises(NotDelivered, match="nowhere"):
        CommandNotifier(Notify(events=("*",), command=("/nowhere/tell",)), means()).send(one("execution.started"))
