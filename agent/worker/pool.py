"""The threads that perform: a bounded number of attempts at once, each with a way to stop it."""

import queue
import time
from collections.abc import Callable
from functools import partial
from threading import Event, Lock, Thread, Timer, current_thread
from typing import TypeVar

T = TypeVar("T")
Task = Callable[[], None]
Failed = Callable[[Exception], None]

CALM = 0.2  # seconds without a start or an end, until what ended is tidied up beside what runs, which goes first
LOOK = 0.05  # seconds between two looks whether it is calm
MOST = 1000  # tasks that are put off at most


class Pool:
    """Runs tasks in daemon threads, at most `size` at once; further ones for cleaning up and publishing run one after the other.

    Daemon threads, as the worker may always be killed: what they do is found again by whoever comes next. `failed` is told,
    in their thread, of a task or of work that raises; the tasks after it go on.
    """

    def __init__(self, size: int, failed: Failed | None = None) -> None:
        self.size = size
        self._failed = failed
        self._stops: dict[str, Event] = {}
        self._waiting: set[str] = set()
        self._lock = Lock()
        self._ready: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._resting = 0  # threads that wait for something to perform
        self._background: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._tidying = 0
        self._moved_at = 0.0
        Thread(target=self._tidy, name="background", daemon=True).start()

    @property
    def free(self) -> int:
        """How many further attempts may start now."""
        with self._lock:
            return self.size - len(self._stops) + len(self._waiting)

    def start(self, name: str, work: Callable[[Event], T], done: Callable[[T], None], *, waits: bool = False) -> None:
        """Run `work(stop)` in a thread under this name; `done` gets its result once the place is free again.

        What only `waits` takes no place.
        """
        stop = Event()
        with self._lock:
            self._stops[name] = stop
            self._waiting |= {name} if waits else set()
            self._moved_at = time.monotonic()
            is_there = self._resting > 0
            self._resting -= is_there
        self._ready.put(partial(self._run, name, work, done, stop))
        if not is_there:
            Thread(target=self._serve, daemon=True).start()

    def stop(self, name: str) -> None:
        """Ask the attempt of this name to end; nothing if it is not running."""
        with self._lock:
            stop = self._stops.get(name)
        if stop:
            stop.set()

    def is_running(self, name: str) -> bool:
        with self._lock:
            return name in self._stops

    def later(self, task: Task) -> None:
        """Do this in the background, in order; while attempts run, once none has started or ended for a moment."""
        with self._lock:
            self._tidying += 1
        self._background.put(task)

    def later_in(self, seconds: float, task: Task) -> None:
        """Do this after some seconds, in a thread of its own; the pool is not quiet before."""
        with self._lock:
            self._tidying += 1
        timer = Timer(seconds, self._once, args=(task,))
        timer.daemon = True
        timer.start()

    @property
    def is_quiet(self) -> bool:
        """Nothing runs and nothing is left to do in the background."""
        with self._lock:
            return not self._stops and not self._tidying

    def _serve(self) -> None:
        """Perform one after the other: a thread is cheaper kept than made."""
        while True:
            self._ready.get()()
            with self._lock:
                self._resting += 1

    def _run(self, name: str, work: Callable[[Event], T], done: Callable[[T], None], stop: Event) -> None:
        current_thread().name = name
        try:
            told = partial(done, work(stop))
        except Exception as error:
            told = partial(self._tell, error)
        with self._lock:
            del self._stops[name]
            self._waiting.discard(name)
            self._tidying += 1  # not quiet before somebody has heard of it
            self._moved_at = time.monotonic()
        self._once(told)

    def _tidy(self) -> None:
        while True:
            task = self._background.get()
            while self._stops and self._tidying < MOST and (left := self._moved_at + CALM - time.monotonic()) > 0:
                time.sleep(min(left, LOOK))
            self._once(task)

    def _once(self, task: Task) -> None:
        try:
            task()
        except Exception as error:
            self._tell(error)
        finally:
            with self._lock:
                self._tidying -= 1

    def _tell(self, error: Exception) -> None:
        if self._failed:
            self._failed(error)
