"""What pushers see while an execution goes on: one text file per execution, appended by the worker, tailed by `follow.py`."""

import os
from pathlib import Path
from threading import Lock

LEAVE = "\x04"  # alone on a line: the execution ended, or waits for a person; followers may leave
CAP = 2 * 1024**2  # bytes of script output per attempt; the whole log stands elsewhere


class Feed:
    """Appends whole lines to `<directory>/feed`. Safe from several threads; a full disk is swallowed, as it is no record."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "feed"
        self._lock = Lock()
        self._sent: dict[str, int] = {}

    def say(self, *lines: str) -> None:
        """Append lines of ours, if there are any."""
        if not lines:
            return
        text = "".join(line.replace("\n", " ").replace(LEAVE, "") + "\n" for line in lines)
        self._append(text)

    def output(self, source: str, line: str) -> None:
        """Append a line that a script printed, up to CAP bytes per source (`stage/action`)."""
        with self._lock:
            sent = self._sent[source] = self._sent.get(source, 0) + len(line)
        if sent <= CAP:
            self.say(f"{source} | {line}")
        elif sent - len(line) <= CAP:
            self.say(f"{source} | … more output than is shown here; the whole of it is in the log")

    def leave(self) -> None:
        """Tell followers that there is nothing to see for now."""
        self._append(LEAVE + "\n")

    def _append(self, text: str) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:
            return
        try:
            os.write(file, text.encode(errors="replace"))
        except OSError:
            pass
        finally:
            os.close(file)
