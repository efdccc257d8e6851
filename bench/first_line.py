"""From the start of `git push` to the first line of the first action at the pusher, against `docker run`."""

import subprocess
import time
from collections.abc import Sequence

from bench.server import Server, served
from bench.table import Row, compare, interleave, render
from tests.support import engine, images

TITLE = "From `git push` to the first line of the first action"
LINE = "the-first-line"
WARM, COLD, DOCKER = "git push, worker lingers", "git push, no worker yet", "docker run"


def run(rounds: int = 15) -> list[Row]:
    """Rows for a worker that lingers and for one that has to be started; what comes after the line is not counted."""
    engine.ensure()
    image = images.busybox()
    pipeline = f"stages: [{{name: build, actions: [{{name: hello, image: {image}, run: echo {LINE}}}]}}]\n"
    with served("linger = 600\n") as warm, served("linger = 600\n") as cold:
        for server in (warm, cold):
            server.commit({".pipeline/p.yaml": pipeline})
            server.run_to_note()
        cases = {
            DOCKER: lambda: first_line(["docker", "run", "--rm", image, "echo", LINE]),
            WARM: lambda: _pushed(warm),
            COLD: lambda: (cold.end_worker(), _pushed(cold))[1],
        }
        seconds = interleave(cases, rounds)
    return compare("hello", seconds, DOCKER, {WARM: "<= 1.5"})


def _pushed(server: Server) -> float:
    server.change()
    return first_line(["git", "push", "origin", "HEAD:refs/heads/main"], server)


def first_line(command: Sequence[str], server: Server | None = None) -> float:
    """Seconds until the line has arrived; the command then goes on to its end. RuntimeError if it never comes."""
    place = {"cwd": server.clone, "env": server.environment} if server else {}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **place) as process:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line.decode(errors="replace"))
            if LINE in said[-1]:
                arrived = time.perf_counter() - began
                process.stdout.read()
                return arrived
    raise RuntimeError(f"{' '.join(command)} did not print the line:\n{''.join(said)}")


if __name__ == "__main__":
    print(render(TITLE, run()))
