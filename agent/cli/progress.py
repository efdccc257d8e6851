"""How far long work is, in git's way: one line on the terminal's standard error, renewed in place, gone once it is done.

It is only seen on a terminal, once the work has lasted a moment, and never beside --json or --porcelain. It is made of spaces and
carriage returns: where colours and escapes are not wanted there are none.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

import click

from agent.model.meter import Meter, Thing, unseen

DELAY = 0.7  # seconds of work before anything is shown
RENEWED = 0.1  # seconds between two pictures
_FOR_SCRIPTS = ("as_json", "porcelain")  # parameters of verbs


def meter() -> Meter:
    """The meter of the verb that is being carried out."""
    return shown() or unseen


def shown() -> "Progress | None":
    """Where the verb that is being carried out can show how far it is; None where nobody looks. One for each verb."""
    context = click.get_current_context(silent=True)
    if context is None or any(context.params.get(name) for name in _FOR_SCRIPTS) or not sys.stderr.isatty():
        return None
    if context.obj is None:
        context.obj = Progress(sys.stderr, time.monotonic)
        context.call_on_close(context.obj.clear)  # also before an error is told
    made: Progress = context.obj
    return made


class Progress:
    """One line that is renewed in place. `clock` counts seconds. A Meter."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._next = clock() + DELAY
        self._words = ""
        self._length = 0

    def __call__(self, words: str, things: Iterable[Thing], total: int = 0, /) -> Iterator[Thing]:
        """Pass things on, and show how many have been asked for."""
        try:
            for count, thing in enumerate(things):
                self.say(words, f"{count * 100 // total:3d}% ({count}/{total})" if total else str(count))
                yield thing
        finally:
            self.clear()

    def say(self, words: str, state: str) -> None:
        """Show a state, if it is time to; new words do not wait for the next picture."""
        now = self._clock()
        if now < self._next and not (self._length and words != self._words):
            return
        self._next, self._words = now + RENEWED, words
        text = f"{words}: {state}"[: self._columns() - 1]
        self._write(text + " " * (self._length - len(text)))
        self._length = len(text)

    def clear(self) -> None:
        """Leave the line as if nothing had been there."""
        if self._length:
            self._write(" " * self._length + "\r")
            self._length = 0
            self._next = self._clock()

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text}")
        self._stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80
