"""The agent's own log: one JSON object a line, with the execution it speaks of. Given in, never global."""

import json
import os
import traceback
from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from agent.errors import AgentError


class Log:
    """Writes lines to a stream. A full disk is swallowed: the log is for people, the journal is the record."""

    def __init__(self, stream: TextIO, clock: Callable[[], datetime]) -> None:
        self._stream = stream
        self._clock = clock

    def info(self, message: str, **fields: object) -> None:
        """Something that an operator may want to know."""
        self._write("info", message, fields)

    def fault(self, message: str, error: AgentError, **fields: object) -> None:
        """Something around us that does not do what it should."""
        self._write("fault", message, {"why": error.message, "hint": error.hint, **fields})

    def bug(self, message: str, error: BaseException, **fields: object) -> None:
        """Something that we did wrong, with its traceback."""
        self._write("bug", message, {"traceback": "".join(traceback.format_exception(error)), **fields})

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        line = {"at": self._clock().isoformat(), "level": level, "pid": os.getpid(), "message": message, **fields}
        try:
            self._stream.write(json.dumps(line, default=str) + "\n")
            self._stream.flush()
        except OSError:
            pass
