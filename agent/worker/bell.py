"""The worker's ear: a thread that hands the rings of the FIFO on to the loop, and can be paused without losing one."""

import os
import select
from collections.abc import Callable
from threading import Thread

from agent.worker import wake


class Bell:
    """Holds the FIFO of `<repo>.git/pipeline/` open from the start, so that whoever rings knows that somebody will hear."""

    def __init__(self, home: str, descriptor: int = -1) -> None:
        """`descriptor`: the FIFO as a former process of this worker held it."""
        self._home = home
        self.descriptor = descriptor if descriptor >= 0 else wake.listen(home)
        self._stop = -1
        self._thread: Thread | None = None

    def listen(self, hear: Callable[[], None]) -> None:
        """Call `hear` for rings, in a thread, until `pause`."""
        if self.descriptor < 0:
            self.descriptor = wake.listen(self._home)
        stopped, self._stop = os.pipe()
        self._thread = Thread(target=self._listen, args=(stopped, hear), name="bell", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stop listening; a ring that comes now stays in the FIFO."""
        if self._thread:
            os.close(self._stop)
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """Close the FIFO: from now on whoever rings learns that nobody hears."""
        self.pause()
        os.close(self.descriptor)
        self.descriptor = -1

    def _listen(self, stopped: int, hear: Callable[[], None]) -> None:
        while True:
            readable, _, _ = select.select([self.descriptor, stopped], [], [])
            if stopped in readable:
                os.close(stopped)
                return
            wake.drain(self.descriptor)
            hear()
