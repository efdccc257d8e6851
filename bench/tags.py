"""What the verdict on one control tag costs a push: signature, person, role, the state of the execution; interleaved.

The peer is the push of a signed tag that steers nothing, by the same agent. Target: 60 ms more.
Run as `python -m bench.tags [ROUNDS]` from a checkout.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from agent.state.database import open_database
from tests.support.keys import Keys
from tests.support.steering import Steering

TARGET = 60  # ms over a tag that steers nothing
CASES = {  # name of the tag, and who signs it
    "a tag that steers nothing": ("v1.{}", "alice"),
    "approve, SSH key": ("approve/release/2/sign-off/a{}", "alice"),
    "approve, SSH certificate": ("approve/release/2/sign-off/f{}", "frank"),
    "approve, OpenPGP": ("approve/release/2/sign-off/g{}", "grace"),
    "disable, SSH key": ("disable/release/build/d{}", "alice"),
}


def push(repo: Steering, tag: str, by: str, commit: str) -> float:
    """Milliseconds; what is asked is taken off the list, as a worker would."""
    repo.sign(tag, commit, by)
    start = time.perf_counter()
    repo.tell(tag)
    took = (time.perf_counter() - start) * 1000
    database = open_database(str(repo.directory / "state.db"))
    database.write("UPDATE requests SET state = 'done'")
    database.close()
    return took


def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds by case; one push of each a round, after one that does not count."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "keys").mkdir()
        keys = Keys(root / "keys")
        repo = Steering(root / "repo", keys).seeded()
        try:
            times: dict[str, list[float]] = {name: [] for name in CASES}
            for number in range(rounds + 1):
                for name, (tag, by) in CASES.items():
                    times[name].append(push(repo, tag.format(number), by, repo.commits[1]))
        finally:
            repo.close()
            keys.close()
    return {name: values[1:] for name, values in times.items()}


def main(rounds: int = 15) -> None:
    times = measure(rounds)
    base = statistics.median(times["a tag that steers nothing"])
    print(f"{'git push (median of ' + str(rounds) + ')':<28}{'ms':>8}{'ratio':>8}{'+ ms':>8}{'target':>8}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<28}{median:>8.1f}{median / base:>8.2f}{median - base:>8.1f}" + (f"{TARGET:>8}" if median != base else ""))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
