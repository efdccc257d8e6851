"""A workspace of a commit of 20,000 files, against a clone for each action: `python -m bench.workspace`."""

import itertools
import shutil
import tempfile
from pathlib import Path
from random import Random

from agent.git.checkout import Checkouts
from agent.workspaces.choose import choose
from bench.table import Row, compare, interleave, render
from tests.support.repo import Repo

FILES = 20_000
CHANGED = 20  # files that differ from one commit to the next
OURS, SAME, CLONE = "workspace of the next commit", "one more of the same commit", "git clone"


def run(rounds: int = 5) -> list[Row]:
    """The time to a private, writable view of the commit; what removes it again is not counted, for nobody."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        repo = Repo(root / "r")
        commits = _fill(repo)
        bench = _Bench(repo, root, commits)
        try:
            seconds = interleave({CLONE: bench.clone, OURS: bench.next, SAME: bench.same}, rounds)
        finally:
            bench.clean()
    return compare(f"{FILES:,} files", seconds, CLONE, {OURS: "<= 0.1", SAME: "<= 0.1"})


class _Bench:
    def __init__(self, repo: Repo, root: Path, commits: list[str]) -> None:
        self._repo = repo
        self._root = root
        self._turn = itertools.cycle(commits)
        self._numbers = itertools.count()
        self._checkouts = Checkouts(str(repo.bare), root / "checkouts")
        self._workspaces = choose(root / "workspaces")
        self._commit = next(self._turn)
        self._clones: list[Path] = []

    def clone(self) -> None:
        for old in self._clones:
            shutil.rmtree(old, ignore_errors=True)
        self._clones = [self._root / f"clone-{next(self._numbers)}"]
        self._repo.git("clone", "-q", str(self._repo.bare), str(self._clones[0]), at=self._root)

    def next(self) -> None:
        self._end()
        self._commit = next(self._turn)
        self._create()

    def same(self) -> None:
        self._create()

    def clean(self) -> None:
        self._end()

    def _create(self) -> None:
        tree = self._checkouts.acquire(self._commit)
        workspace = self._workspaces.create(f"w{next(self._numbers)}", (tree,))
        (workspace / "written").write_text("private")

    def _end(self) -> None:
        for name in self._workspaces.names():
            self._workspaces.remove(name)
        self._checkouts.release(self._commit)


def _fill(repo: Repo) -> list[str]:
    """Three commits on main that differ in a few files, of 4 KB of random bytes each."""
    dice = Random(1)
    lines: list[bytes] = []
    for number in range(3):
        lines.append(b"commit refs/heads/main\ncommitter x <x@example.com> 1700000000 +0000\ndata 1\nm\n")
        for index in range(FILES if number == 0 else CHANGED):
            lines.append(
                b"M 644 inline src/d%d/d%d/f%d\ndata 4096\n%s\n" % (index % 20, index % 400, index, dice.randbytes(4096))
            )
    repo.git("fast-import", "--quiet", at=repo.bare, stdin=b"".join(lines))
    return repo.git("rev-list", "main", at=repo.bare).splitlines()


if __name__ == "__main__":
    print(render("A private, writable view of a commit", run()))
