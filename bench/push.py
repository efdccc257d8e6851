"""What the agent costs a push: `git push` with it against the same push without hooks, interleaved.

Targets: 60 ms more for a push that starts nothing, 120 ms more for one whose execution is queued and not followed.
Run as `python -m bench.push [ROUNDS]` with the interpreter that has git-pipeline.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.admin.install import install
from agent.git.command import clean_environment
from agent.worker import wake

PIPELINE = "stages:\n  - name: build\n    actions:\n      - {name: unit, image: some/image, run: echo hello}\n"
TARGETS = {"nothing to start": 60, "one execution queued": 120}  # ms over no hooks


class Bench:
    """A bare repository and a clone; `push` makes a small commit and returns the milliseconds of its push."""

    def __init__(self, root: Path, *, agent: bool, files: dict[str, str]) -> None:
        self.bare, self.clone = root / "repo.git", root / "clone"
        self.clone.mkdir(parents=True)
        self.environment = clean_environment(os.environ) | {"HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
        self.git("init", "-q", "--bare", str(self.bare))
        self.git("init", "-q", ".")
        self.git("config", "user.name", "bench")
        self.git("config", "user.email", "bench@example.com")
        self.git("config", "gc.auto", "0")
        self.git("config", "receive.advertisePushOptions", "true", at=self.bare)
        self.git("config", "core.fsync", "committed", at=self.bare)  # in both, as it is git that pays for it
        self.git("config", "receive.fsckObjects", "true", at=self.bare)
        if agent:
            install(self.bare, Path(sys.executable), self.environment, os.getuid(), root / "repositories")
            wake.listen(str(self.bare / "pipeline"))  # as a warm worker does
        for name, text in files.items():
            (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / name).write_text(text)
        self.count = 0

    def git(self, *args: str, at: Path | None = None) -> None:
        subprocess.run(["git", *args], cwd=at or self.clone, env=self.environment, check=True, capture_output=True)

    def push(self) -> float:
        self.count += 1
        (self.clone / "file").write_text(str(self.count))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"commit {self.count}")
        start = time.perf_counter()
        self.git("push", "-q", "-o", "pipeline.detach", str(self.bare), "HEAD:refs/heads/main")
        return (time.perf_counter() - start) * 1000


def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds by case; one push of each case per round, after one that does not count."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        cases: dict[str, Callable[[], float]] = {
            "without hooks": Bench(root / "plain", agent=False, files={}).push,
            "nothing to start": Bench(root / "nothing", agent=True, files={}).push,
            "one execution queued": Bench(root / "queued", agent=True, files={".pipeline/release.yaml": PIPELINE}).push,
        }
        for push in cases.values():
            push()
        times: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, push in cases.items():
                times[name].append(push())
    return times


def main(rounds: int = 25) -> None:
    times = measure(rounds)
    base = statistics.median(times["without hooks"])
    print(f"{'git push (median of ' + str(rounds) + ')':<28}{'ms':>8}{'ratio':>8}{'+ ms':>8}{'target':>8}")
    for name, values in times.items():
        median = statistics.median(values)
        target = f"{TARGETS[name]:>8}" if name in TARGETS else ""
        print(f"{name:<28}{median:>8.1f}{median / base:>8.2f}{median - base:>8.1f}{target}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
