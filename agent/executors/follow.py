"""From "go" to the ending: output to the sink, signals when it must end, an engine that may go away and come back meanwhile."""

import time
from collections.abc import Iterable

import msgspec

from agent.executors import container
from agent.executors.base import Ending, Job, LogSink
from agent.executors.container import Image
from agent.executors.engine import Engine, EngineLost, State
from agent.executors.hold import has_started
from agent.executors.watch import Pump, Watch
from agent.model.outcome import Reason

DYING = 1.0  # seconds from the end of the output until the engine knows that the container ended
BACK = 0.2  # seconds between two looks for an engine that went away
KILLED = (137, 143)
UNKNOWN = (*KILLED, 255)  # 255: the engine found it gone when it started, after a crash of the machine


class Follower:
    """Follows one container. `patience`: seconds to wait for the engine. `went_at`: monotonic time of the "go"."""

    def __init__(self, engine: Engine, job: Job, log: LogSink, watch: Watch, patience: float) -> None:
        self.went_at = 0.0
        self._engine = engine
        self._job = job
        self._name = container.name(job.id)
        self._watch = watch
        self._patience = patience
        self._pump = Pump(log)
        self._suspect = False  # the engine went away, or came to us as it is: a kill is not the script's own

    def resume(self) -> Ending:
        """Follow a container that a worker who is gone told to run."""
        state = self._engine.inspect(self._name)
        self._suspect = state is not None and not state.is_running
        image = self._engine.image(state.image) if state else None
        return self._ending(image, None) or _lost("its container is gone")

    def follow(self, image: Image, output: Iterable[bytes]) -> Ending | None:
        """Follow from the "go" on; None if the container ended without having touched the script."""
        self.went_at = time.monotonic()
        ending = self._ending(image, output)
        return ending and with_timings(ending, run=time.monotonic() - self.went_at)

    def _ending(self, image: Image | None, output: Iterable[bytes] | None) -> Ending | None:
        state: State | None = None
        while True:
            try:
                state = self._to_the_end(output)
                if state is None or not state.is_running:
                    break
            except EngineLost:
                self._suspect = True
                if not self._is_back():
                    return _lost("the engine went away and did not come back")
            output = None
        ending = self._judge(state)
        return ending and msgspec.structs.replace(ending, image=image.reference if image else "")

    def _to_the_end(self, output: Iterable[bytes] | None) -> State | None:
        if output is None:
            output = self._replay()
        self._pump.start(output)
        self._watch.until(self._pump.ended, lambda signal: self._engine.kill(self._name, signal))
        state = self._settled()
        # A stopping engine closes its door before it ends its containers, and then answers old connections as if nothing were.
        if state and state.exit_code in KILLED and not self._suspect and not self._engine.is_there():
            raise EngineLost("the engine went away")
        return state

    def _replay(self) -> Iterable[bytes]:
        return self._engine.follow(self._name) if self._engine.inspect(self._name) else ()

    def _settled(self) -> State | None:
        end = time.monotonic() + DYING
        while True:
            state = self._engine.inspect(self._name)
            if state is None or not state.is_running or time.monotonic() >= end:
                return state
            time.sleep(0.002)

    def _is_back(self) -> bool:
        end = time.monotonic() + self._patience
        while time.monotonic() < end:
            if self._engine.is_there():
                return True
            time.sleep(BACK)
        return False

    def _judge(self, state: State | None) -> Ending | None:
        if self._watch.asked:
            return self._watch.ending()
        if not has_started(self._job):
            return self._unstarted(state)
        if state is None:
            return _lost("its container is gone")
        if state.out_of_memory and state.exit_code == 137:
            return Ending(
                exit_code=137, reason=Reason.OUT_OF_MEMORY, message="needed more memory than it may have, and was killed"
            )
        if self._suspect and state.exit_code in UNKNOWN:
            return _lost(f"its container was killed (exit code {state.exit_code}) while the engine or the worker was away")
        return Ending(exit_code=state.exit_code)

    def _unstarted(self, state: State | None) -> Ending | None:
        missing = {container.NO_SHELL: self._job.shell} | dict.fromkeys(container.NO_SH, "sh")
        if state is None or state.exit_code not in missing:
            return None
        message = f"the image {self._job.image} has no `{missing[state.exit_code]}`, which runs the script"
        return Ending(reason=Reason.IMAGE, message=message)


def with_timings(ending: Ending, **seconds: float) -> Ending:
    """The same ending with further timings."""
    return msgspec.structs.replace(ending, timings=ending.timings | seconds)


def _lost(why: str) -> Ending:
    return Ending(reason=Reason.LOST, message=f"nobody knows how it would have ended: {why}")
