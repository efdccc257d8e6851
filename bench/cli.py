"""Start-up of every verb, against git and gh, and `status` in a clone with 10,000 executions: `python -m bench cli`."""

import subprocess
import sys
import tempfile
from hashlib import sha1
from pathlib import Path

from agent.cli.main import VERBS
from agent.results import record
from bench import tools
from bench.table import Row, compare, interleave, render
from tests.support.published import Repositories, git, write_many
from tests.support.stories import Story, action, plan, stage

EXECUTIONS = 10_000
ALONE = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GH_NO_UPDATE_NOTIFIER": "1"}  # gh asks nobody anything
GIT, GH, GH_RUN = "git --version", "gh --version", "gh run list -h"


def run(rounds: int = 9) -> list[Row]:
    """Rows for start-up, and for what looks at many executions."""
    return _start_up(rounds) + _many(rounds)


def _call(*words: str, cwd: Path | None = None) -> None:
    subprocess.run([sys.executable, "-m", "agent", *words], check=True, capture_output=True, cwd=cwd)


def _start_up(rounds: int) -> list[Row]:
    cases = {GIT: lambda: subprocess.run(["git", "--version"], check=True, capture_output=True)}
    peer = tools.gh()
    for said in () if peer.why_not else (GH, GH_RUN):
        words = [str(peer.binary), *said.split()[1:]]
        cases[said] = lambda words=words: subprocess.run(words, check=True, capture_output=True, env=ALONE)
    cases |= {verb: lambda verb=verb: _call(verb, "-h") for verb in VERBS}
    rows = compare("start-up", interleave(cases, rounds), GIT, dict.fromkeys(VERBS, "< 150 ms"))
    return rows + ([Row("start-up", f"gh: cannot be had: {peer.why_not}", 0.0)] if peer.why_not else [])


def _many(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        made = Repositories(Path(directory))
        made.commit("one")
        write_many(made.bare, [_note(number) for number in range(1, EXECUTIONS + 1)], fan_out=True)
        git(made.clone, "fetch", "-q", "origin", "refs/notes/*:refs/notes/*")
        ref = "refs/notes/pipeline-record"
        peer = "git log -10 of the notes"
        cases = {
            peer: lambda: git(made.clone, "log", "-10", "--raw", ref),
            "status --no-fetch": lambda: _call("status", "--no-fetch", cwd=made.clone),
            "list --no-fetch": lambda: _call("list", "--no-fetch", cwd=made.clone),
            "show --no-fetch": lambda: _call("show", "--no-fetch", f"release#{EXECUTIONS // 2}", cwd=made.clone),
        }
        targets = {"status --no-fetch": "< 200 ms"}
        return compare(f"{EXECUTIONS:,} executions", interleave(cases, rounds), peer, targets)


def _note(number: int) -> dict[str, bytes]:
    commit = sha1(b"%d" % number).hexdigest()
    story = (
        Story(plan(stage("build", action("unit"))), number=number, commit=commit).begin().enter("build").start("build", "unit")
    )
    return {commit: record.encode(story.after(3).end("build", "unit").leave("build").finish().record)}


if __name__ == "__main__":
    print(render("The command line", run()))
