"""One log of a deployment on many hosts: whole lines, each with its host and lifecycle event, in the order they came.

What is written stands in a file first. After a crash that file is said again as it is, so the attempt's log goes on where it
ended, and of each host's output, which is replayed from its beginning, the lines that the file has already are left out.
"""

import os
from collections import Counter
from pathlib import Path
from threading import Lock

from agent.deploy.script import MARK
from agent.executors.base import LogSink

_BETWEEN = " | "


class DeployLog:
    """The log that all hosts of one attempt share. Safe from several threads."""

    def __init__(self, path: Path, sink: LogSink) -> None:
        """Goes on with the file if there is one. Raises OSError."""
        self._sink = sink
        self._lock = Lock()
        self._said: Counter[str] = Counter()
        self._file = path.open("ab+")
        self._resume()

    def say(self, host: str, text: str) -> None:
        """A line of ours about a host."""
        self._write(f"{host} : {text}\n".encode())

    def of(self, host: str, phase: str = "") -> "HostSink":
        """Takes the output of one job on a host."""
        name = f"{host} {phase}".strip()
        return HostSink(self, name, self._said.get(name, 0))

    def close(self) -> None:
        """Close the file; safe twice."""
        self._file.close()

    def line(self, host: str, event: str, text: bytes) -> None:
        """A line of a script."""
        self._write(f"{host}{_BETWEEN}{event}{_BETWEEN}".encode() + text + b"\n")

    def _write(self, line: bytes) -> None:
        with self._lock:
            self._file.write(line)
            self._file.flush()
            self._sink.write(line)

    def _resume(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        os.ftruncate(self._file.fileno(), len(whole))
        for line in whole.decode(errors="replace").split("\n"):
            host, between, _ = line.partition(_BETWEEN)
            if between and " : " not in host:
                self._said[host] += 1
        if whole:
            self._sink.write(whole)


class HostSink:
    """A LogSink for one job: from its first byte on, whatever was said before."""

    def __init__(self, log: DeployLog, host: str, known: int) -> None:
        self.last = ""
        self._log = log
        self._host = host
        self._known = known
        self._event = "start"
        self._partial = b""

    def write(self, data: bytes) -> None:
        """See LogSink."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._take(line)

    def notice(self, text: str) -> None:
        """See LogSink."""
        self._log.say(self._host, text)

    def finish(self) -> None:
        """Hand on a last line without an end."""
        if self._partial:
            self._take(self._partial)
            self._partial = b""

    def _take(self, line: bytes) -> None:
        if line.startswith(MARK.encode()):
            self._event = line[1:].decode(errors="replace")
            return
        self.last = line.decode(errors="replace")[-500:]
        if self._known:
            self._known -= 1
        else:
            self._log.line(self._host, self._event, line)
