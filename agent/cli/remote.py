"""Executions as a clone knows them: fetched as notes with plain git, read with the git binary.

The history of the notes ref says what changed last, so that showing ten executions costs the same among ten and among 100,000.
"""

import os
import re
import select
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from agent.cli import progress
from agent.errors import EnvironmentFault, UsageError
from agent.git.command import Git
from agent.model.ids import NOTES
from agent.results import lognote, record
from agent.results.record import Record

_PEOPLE, RECORD, LOG = NOTES
_LOCAL = frozenset(  # git rev-parse --local-env-vars, but for the settings that `git -c` passes on
    (
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE", "GIT_QUARANTINE_PATH"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE"),
    )
)
_RAW = re.compile(rb":\d+ \d+ (?P<old>[0-9a-f]+) (?P<new>[0-9a-f]+) [A-Z]\d*\t(?P<path>[0-9a-f/]+)")
_COMMITS = 100  # of the notes ref that are looked at in one go, at first
_BLOBS = 1000  # that are read in one go
_NEAR = 200  # executions that are looked through before all are


def discover(environ: Mapping[str, str]) -> Git:
    """The repository around the current directory. Raises UsageError outside of any."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--absolute-git-dir"], env=environ, capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise EnvironmentFault(f"cannot run git: {error.strerror}", hint="install git, or mend the PATH") from error
    if found.returncode:
        said = found.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise UsageError(said, hint="change into a clone, or name the repository on the server with --repo")
    return client(os.fsdecode(found.stdout.rstrip(b"\n")), environ)


def client(git_dir: str, environ: Mapping[str, str]) -> Git:
    """git on a repository, with the settings of the user who calls us (how to reach a remote, whom to ask for a password)."""
    return Git(git_dir, {name: value for name, value in environ.items() if name not in _LOCAL})


def remote_of(git: Git) -> str:
    """The remote to fetch from: pipeline.remote, that of the current branch, origin, or the only one; empty if there is none."""
    names = git.run("remote").decode().split()
    branch = git.call("symbolic-ref", "-q", "--short", "HEAD")[1].decode().strip()
    wishes = ("pipeline.remote", f"branch.{branch}.remote") if branch else ("pipeline.remote",)
    for wish in wishes:
        value = git.call("config", "--get", wish)[1].decode().strip()
        if value and value != ".":
            return value
    if "origin" in names or len(names) < 2:
        return "origin" if "origin" in names else "".join(names)
    raise UsageError(f"which remote runs the pipelines: {', '.join(names)}?", hint=f"git config pipeline.remote {names[0]}")


def fetch(git: Git, *, logs: bool, unseen: bool = False) -> str:
    """Fetch the notes from the remote; the logs too if asked for. Returns what went wrong, empty if nothing did.

    On a terminal one sees how far it is, unless it is to go on `unseen`.
    """
    remote = remote_of(git)
    if not remote:
        return ""
    without = () if logs else (f"^{LOG}",)
    code, said = _fetched(
        git, None if unseen else progress.shown(), remote, "+refs/notes/pipeline*:refs/notes/pipeline*", *without
    )
    return f"cannot fetch from {remote} ({said}); this is what was fetched before" if code else ""


def _fetched(git: Git, shown: progress.Progress | None, remote: str, *what: str) -> tuple[int, str]:
    """Fetch while people see how far it is: the exit code, and what git said first if it failed."""
    how = ("--quiet", "--no-tags", "--no-write-fetch-head", *(("--progress",) if shown else ()))
    prompt = {"GIT_TERMINAL_PROMPT": os.environ.get("GIT_TERMINAL_PROMPT", "1")}
    with subprocess.Popen(
        git.argv("fetch", *how, remote, *what),
        env=git.environment | prompt, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr
        said = _heard(process.stderr.fileno(), remote, shown)
    if shown:
        shown.clear()
    lines = [line.strip() for line in re.split("[\r\n]", said) if line.strip()]
    told = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[0] if lines else "")
    return process.returncode, told.removeprefix("fatal: ")


def _heard(descriptor: int, remote: str, shown: progress.Progress | None) -> str:
    """All that git says; of its own progress the last line is shown, and before it comes that there is a fetch."""
    said = b""
    while True:
        if shown:
            last = re.split(b"[\r\n]", said[-400:].rstrip())[-1].decode(errors="replace").strip().removeprefix("remote: ")
            shown.say(f"Fetching results from {remote}", last if "%" in last else "…")
            if not select.select([descriptor], [], [], progress.RENEWED)[0]:
                continue
        piece = os.read(descriptor, 65536)
        if not piece:
            return said.decode(errors="replace")
        said += piece


class Clone:
    """The notes that a repository has. A Source (cli/source.py)."""

    def __init__(self, git: Git) -> None:
        self.git = git

    def require_notes(self) -> None:
        """Raises UsageError if no note was ever seen here."""
        if self.git.call("rev-parse", "-q", "--verify", RECORD)[0]:
            remote = remote_of(self.git)
            hint = (
                f"push to {remote}, if git-pipeline is installed there"
                if remote
                else "add a remote that git-pipeline is installed in"
            )
            raise UsageError("there are no results of git-pipeline here yet", hint=hint)

    def recent(self, limit: int) -> tuple[Record, ...]:
        newest = dict(islice(self._touched(), limit))
        records = [one for note in self._read(newest.values()) for one in record.decode(note)]
        return tuple(sorted(records, key=lambda one: one.id, reverse=True)[:limit])

    def of_commit(self, commit: str) -> tuple[Record, ...]:
        return tuple(sorted(record.decode(self._note(RECORD, commit)), key=lambda one: one.id, reverse=True))

    def numbered(self, number: int, pipeline: str = "") -> tuple[Record, ...]:
        said, wanted = f"{pipeline} #{number}:" if pipeline else f" #{number}:", b'"number":%d,' % number
        found = [one for one in self._find(said, wanted) if one.number == number and pipeline in {"", one.pipeline}]
        return tuple(sorted(found, key=lambda one: one.id, reverse=True))

    def identified(self, execution: str) -> Record | None:
        found = self._find(f"Execution: {execution}", execution.encode())
        return next((one for one in found if one.id == execution), None)

    def latest(self, pipeline: str) -> Record | None:
        near = next((one for one in self.recent(_NEAR) if one.pipeline == pipeline), None)
        if near:
            return near
        found = [one for one in self._search(b'"pipeline":"%s"' % pipeline.encode()) if one.pipeline == pipeline]
        return max(found, key=lambda one: one.id, default=None)

    def commit(self, revision: str) -> str:
        out = self.git.call("rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}")[1]
        return out.decode().strip()

    def subjects(self, commits: Sequence[str]) -> dict[str, str]:
        bodies = zip(commits, self._objects(commits), strict=True)
        return {commit: _subject(body) for commit, body in bodies if body is not None}

    def logs(self, record: Record, attempts: Sequence[str]) -> dict[str, bytes]:
        sections, _ = lognote.split(self._note(LOG, record.commit))
        return {one.id: one.body for one in sections if one.id in attempts}

    def _note(self, ref: str, commit: str) -> bytes:
        code, out, _ = self.git.call("notes", f"--ref={ref}", "show", commit)
        return b"" if code else out

    def _touched(self) -> Iterator[tuple[str, str]]:
        """Commits with the id of their record note, those first whose note changed last."""
        seen: set[str] = set()
        skip, count = 0, _COMMITS
        while history := self._history(f"--skip={skip}", f"--max-count={count}"):
            for changes in history:
                for commit, blob in changes.items():
                    if commit not in seen:
                        seen.add(commit)
                        yield commit, blob
            skip, count = skip + count, count * 2

    def _history(self, *which: str) -> list[dict[str, str]]:
        """Of each commit of the notes ref, newest first, the notes that it changed: commit and id of the note."""
        how = ("--first-parent", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=%x00")
        out = self.git.call("log", *which, *how, RECORD, "--")[1]
        return [_changes(change) for change in out.split(b"\0")[1:]]

    def _find(self, said: str, wanted: bytes) -> list[Record]:
        """Records whose line holds `wanted`: told by the messages of the notes ref (results/publish.py), or else searched."""
        mentioned = self._history("--fixed-strings", f"--grep={said}")
        commits = dict.fromkeys(commit for changes in mentioned for commit in changes)
        notes = (self._note(RECORD, commit) for commit in commits)
        found = [one for note in notes for one in record.decode(note) if wanted in note]
        return found or list(self._search(wanted))

    def _search(self, wanted: bytes) -> Iterator[Record]:
        """The records of all notes whose line holds these bytes, in no order."""
        listed = self.git.call("notes", f"--ref={RECORD}", "list")[1].decode().splitlines()
        blobs = iter([line.split(" ")[0] for line in listed])
        while chunk := list(islice(blobs, _BLOBS)):
            for note in self._read(chunk):
                if wanted in note:
                    lines = (line for line in note.split(b"\n") if wanted in line)
                    yield from (one for line in lines for one in record.decode(line))

    def _read(self, blobs: Iterable[str]) -> Iterator[bytes]:
        return (body for body in self._objects(list(blobs)) if body is not None)

    def _objects(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """The contents of objects in the order of their names, None for those that are not here."""
        if not names:
            return
        out = self.git.run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode())
        at = 0
        for _ in names:
            end = out.index(b"\n", at)
            head = out[at:end].split(b" ")
            length = int(head[2]) if len(head) == 3 and head[1] != b"missing" else -1
            yield out[end + 1 : end + 1 + length] if length >= 0 else None
            at = end + 1 + (length + 1 if length >= 0 else 0)


def _changes(change: bytes) -> dict[str, str]:
    found = [(one["old"], one["new"], one["path"]) for one in _RAW.finditer(change)]
    kept = {old for old, _, _ in found}  # a new fan-out moves notes without changing them
    return {path.replace(b"/", b"").decode(): new.decode() for _, new, path in found if new not in kept and new.strip(b"0")}


def _subject(body: bytes) -> str:
    return body.partition(b"\n\n")[2].split(b"\n", 1)[0].decode(errors="replace")
