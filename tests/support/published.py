"""Real repositories with notes in them, written by git itself."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.model.ids import NOTES
from agent.results import record
from agent.results.record import Record

PEOPLE, RECORD, LOG = NOTES
IDENTITY = {
    "GIT_AUTHOR_NAME": "Alice",
    "GIT_AUTHOR_EMAIL": "alice@example.com",
    "GIT_COMMITTER_NAME": "Alice",
    "GIT_COMMITTER_EMAIL": "alice@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(directory: Path, *args: str, stdin: bytes = b"") -> str:
    """Run git; an exit code other than 0 is an error of the test."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(directory), *args], input=stdin, env=inherited | IDENTITY, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="replace").strip()


class Repositories:
    """A bare repository as the server has it, and a clone of it."""

    def __init__(self, directory: Path) -> None:
        self.bare, self.clone = directory / "project.git", directory / "clone"
        git(directory, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        git(directory, "clone", "--quiet", str(self.bare), str(self.clone))
        git(self.clone, "checkout", "--quiet", "-B", "main")

    def commit(self, subject: str) -> str:
        """A new commit, pushed."""
        git(self.clone, "commit", "--quiet", "--allow-empty", "-m", subject)
        git(self.clone, "push", "--quiet", "origin", "HEAD:main")
        return git(self.clone, "rev-parse", "HEAD")

    def note(self, ref: str, commit: str, text: bytes) -> None:
        """A note on the server, by git itself."""
        git(self.bare, "notes", f"--ref={ref}", "add", "-f", "-F", "-", commit, stdin=text)

    def record(self, *records: Record) -> None:
        """Record notes on the server, one commit of the notes ref each."""
        for one in records:
            former = subprocess.run(
                ["git", "-C", str(self.bare), "notes", f"--ref={RECORD}", "show", one.commit], capture_output=True, check=False
            )
            self.note(RECORD, one.commit, record.merge(former.stdout or None, one))


def write_many(bare: Path, notes: Iterable[Mapping[str, bytes]], *, fan_out: bool = False) -> None:
    """Many commits on the record ref in one go, by git fast-import: each changes the notes of some commits."""
    stream = []
    for index, changes in enumerate(notes):
        stream.append(b"commit %s\ncommitter A <a@example.com> %d +0000\ndata 0\n" % (RECORD.encode(), 1_700_000_000 + index))
        for commit, text in changes.items():
            path = f"{commit[:2]}/{commit[2:]}" if fan_out else commit
            stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(text), text))
    git(bare, "fast-import", "--quiet", stdin=b"".join(stream))
