"""Adding one note at 10, 1,000 and 100,000 notes, against `git notes add`: `python -m bench.notes`."""

import itertools
import os
import tempfile
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path

from agent.git.notes import Notes
from bench.table import Row, compare, interleave, render
from tests.support.repo import Repo

SIZES = {10: 0, 1_000: 1, 100_000: 2}  # notes, and how many slashes git writes in their paths
BODY = b'{"stage": "build", "status": "Succeeded"}\n' * 58  # 2.4 KB, as a record has
OURS, GIT, SYNCED = "agent", "git notes add", "git notes add, synced"


def run(rounds: int = 30) -> list[Row]:
    """Rows for each size; the agent's writer is open already, as in a worker that runs."""
    rows = []
    for present, slashes in SIZES.items():
        with tempfile.TemporaryDirectory() as directory:
            rows += _measure(Path(directory) / "r", present, slashes, rounds)
    return rows


def _measure(root: Path, present: int, slashes: int, rounds: int) -> list[Row]:
    os.sync()  # what was written before is not this one's to wait for
    repo = Repo(root)
    refs = {OURS: "refs/notes/ours", GIT: "refs/notes/git", SYNCED: "refs/notes/synced"}
    _fill(repo, "refs/notes/ours", present, slashes)
    for ref in refs.values():
        repo.git("update-ref", ref, "refs/notes/ours", at=repo.bare)
    numbers = itertools.count(present)

    def by_git(ref: str, *config: str) -> None:
        repo.run(*config, "notes", f"--ref={ref}", "add", "-F", "-", _oid(next(numbers)), at=repo.bare, stdin=BODY)

    with Notes(repo.bare) as notes:
        cases = {
            GIT: lambda: by_git(refs[GIT]),
            SYNCED: lambda: by_git(refs[SYNCED], "-c", "core.fsync=committed"),
            OURS: lambda: notes.edit(refs[OURS], {_oid(next(numbers)): lambda _: BODY}, "m", datetime.now(UTC)),
        }
        seconds = interleave(cases, rounds, warm_up=3)
    return compare(f"{present:,} notes", seconds, GIT, {OURS: "<= 1.5"})


def _fill(repo: Repo, ref: str, number: int, slashes: int) -> None:
    lines = [f"commit {ref}\ncommitter x <x@example.com> 1700000000 +0000\ndata 1\nm\n"]
    lines += [f"M 644 inline {_path(_oid(index), slashes)}\ndata {len(str(index))}\n{index}\n" for index in range(number)]
    repo.git("fast-import", "--quiet", at=repo.bare, stdin="".join(lines).encode())


def _oid(number: int) -> str:
    return sha1(b"%d" % number).hexdigest()


def _path(oid: str, slashes: int) -> str:
    return "/".join([oid[2 * at : 2 * at + 2] for at in range(slashes)] + [oid[2 * slashes :]])


if __name__ == "__main__":
    print(render("Adding one note", run()))
