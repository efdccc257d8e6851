"""Having an image: it is there, or it is pulled while the followers see how far it is, or it is said why it cannot be had."""

import time
from collections.abc import Callable
from threading import Thread

from agent.errors import EnvironmentFault
from agent.executors.base import Ending, LogSink
from agent.executors.container import Image
from agent.executors.engine import Engine, EngineLost
from agent.model.outcome import Reason

TICK = 0.1
PAUSE = 2.0  # seconds between two lines of progress


class _Pull:
    """A pull in a thread of its own, as an unreachable registry must not outlast the job's deadline."""

    def __init__(self, engine: Engine, name: str, log: LogSink) -> None:
        self.fault: EnvironmentFault | None = None
        self._engine = engine
        self._name = name
        self._log = log
        self._said = 0.0
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for text in self._engine.pull(self._name):
                if time.monotonic() - self._said >= PAUSE:
                    self._said = time.monotonic()
                    self._log.notice(f"{self._name}: {text}")
        except EnvironmentFault as fault:
            self.fault = fault


def ensure(engine: Engine, name: str, log: LogSink, due: Callable[[], object]) -> Image | Ending:
    """The image of this name, pulled if it is missing; an ending with reason IMAGE if it cannot be had.

    Raises EngineLost. Returns an ending without a reason if the job is `due` to end meanwhile.
    """
    if not name:
        return Ending(reason=Reason.IMAGE, message="the action names no image")
    if image := engine.image(name):
        return image
    log.notice(f"{name}: not here yet, pulling it")
    pull = _Pull(engine, name, log)
    while pull.thread.is_alive() and not due():
        pull.thread.join(TICK)
    if pull.thread.is_alive():
        return Ending()
    if isinstance(pull.fault, EngineLost):
        raise pull.fault
    if pull.fault:
        return Ending(reason=Reason.IMAGE, message=f"the image {name} cannot be had: {pull.fault.message}")
    return engine.image(name) or Ending(reason=Reason.IMAGE, message=f"the image {name} is not there although it was pulled")
