"""A notifier that keeps what it is given, and fails when it is told to: for tests, and a model for plug-ins."""

from agent.model.notice import Notice


class DummyNotifier:
    """Raises the exceptions of `failures`, oldest first, before it takes anything."""

    def __init__(self) -> None:
        self.taken: list[Notice] = []
        self.failures: list[Exception] = []

    def send(self, notice: Notice) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(notice)
