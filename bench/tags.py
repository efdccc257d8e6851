"""What the verdict on one control tag costs a push: signature, person, role, the state of the execution; interleaved.

The peer is the push of a signed tag that steers nothing, by the same agent. Verification happens in pre-receive, whose time git
itself tells (trace2); target: 60 ms more. The whole push takes in what was asked besides, as one that queues an execution does.
Run as `python -m bench.tags [ROUNDS]` from a checkout.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

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


class Took(NamedTuple):
    """Milliseconds of a push, and of pre-receive within it."""

    push: float
    verdict: float


def push(repo: Steering, tag: str, by: str, commit: str, trace: Path) -> Took:
    """What is asked is taken off the list, as a worker would."""
    repo.sign(tag, commit, by)
    trace.unlink(missing_ok=True)
    start = time.perf_counter()
    repo.tell(tag, env={"GIT_TRACE2_EVENT": str(trace)})
    took = (time.perf_counter() - start) * 1000
    database = open_database(str(repo.directory / "state.db"))
    database.write("UPDATE requests SET state = 'done'")
    database.close()
    return Took(took, _hook(trace, "pre-receive"))


def _hook(trace: Path, name: str) -> float:
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    started = {(event["sid"], event["child_id"]) for event in events if event.get("hook_name") == name}
    [took] = [
        event["t_rel"] for event in events if event["event"] == "child_exit" and (event["sid"], event["child_id"]) in started
    ]
    return float(took) * 1000


def measure(rounds: int) -> dict[str, list[Took]]:
    """By case; one push of each a round, after one that does not count."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "keys").mkdir()
        keys = Keys(root / "keys")
        repo = Steering(root / "repo", keys).seeded()
        try:
            times: dict[str, list[Took]] = {name: [] for name in CASES}
            for number in range(rounds + 1):
                for name, (tag, by) in CASES.items():
                    times[name].append(push(repo, tag.format(number), by, repo.commits[1], root / "trace"))
        finally:
            repo.close()
            keys.close()
    return {name: values[1:] for name, values in times.items()}


def main(rounds: int = 15) -> None:
    times = measure(rounds)
    medians = {name: Took(*map(statistics.median, zip(*values, strict=True))) for name, values in times.items()}
    base = medians["a tag that steers nothing"]
    print(f"{'median of ' + str(rounds):<28}{'verdict ms':>12}{'+ ms':>8}{'target':>8}{'push ms':>10}{'+ ms':>8}")
    for name, took in medians.items():
        target = "" if took is base else str(TARGET)
        more = Took(took.push - base.push, took.verdict - base.verdict)
        print(f"{name:<28}{took.verdict:>12.1f}{more.verdict:>8.1f}{target:>8}{took.push:>10.1f}{more.push:>8.1f}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
