"""From `git push` to the readable note, against act, gitlab-ci-local and a shell loop of `docker run`."""

import subprocess
import time
from collections.abc import Callable
from functools import partial

from bench import shapes, tools
from bench.server import Server, served
from bench.shapes import SHAPES, Shape
from bench.table import Row, compare, interleave, render
from tests.support import engine, images

TITLE = "From `git push` to the readable note"
LOOP, WARM, COLD = "loop of docker run", "git push, worker lingers", "git push, no worker yet"


def run(rounds: int = 5, slow: int = 2) -> list[Row]:
    """Rows for each shape. Peers take part in the first `slow` rounds only, as they take minutes."""
    engine.ensure()
    image = images.busybox()
    found = {tools.ACT: tools.act(), tools.GITLAB: tools.gitlab_ci_local()}
    volumes = _volumes()
    try:
        rows = [row for shape in SHAPES for row in _measure(shape, image, found, rounds, slow)]
    finally:
        for name in _volumes() - volumes:  # of act's tools
            subprocess.run(["docker", "volume", "rm", name], capture_output=True)
    missing = [Row("", f"{name}: cannot be had: {peer.why_not}", 0.0) for name, peer in found.items() if peer.why_not]
    return rows + missing


def _measure(shape: Shape, image: str, found: dict[str, tools.Peer], rounds: int, slow: int) -> list[Row]:
    with served("linger = 600\n") as warm, served("linger = 600\n") as cold:
        for server in (warm, cold):
            _fill(server, shape, image)
            server.run_to_note()
        quick: dict[str, Callable[[], float]] = {
            LOOP: lambda: _seconds(["sh", "-c", shapes.loop(shape, image)], warm),
            WARM: lambda: _pushed(warm),
            COLD: lambda: (cold.end_worker(), _pushed(cold))[1],
        }
        peers = {name: _command(name, peer, image) for name, peer in found.items() if not peer.why_not}
        others = {name: partial(_seconds, command, warm, found[name]) for name, command in peers.items()}
        seconds = interleave({**quick, **others}, slow, warm_up=0)
        for name, more in interleave(quick, rounds - slow, warm_up=0).items():
            seconds[name] += more
    return compare(shape.title, seconds, LOOP, {WARM: shape.target})


def _fill(server: Server, shape: Shape, image: str) -> None:
    files = {
        "README.md": "# A project\n",
        ".pipeline/p.yaml": shapes.pipeline(shape, image),
        ".github/workflows/p.yml": shapes.workflow(shape),
        ".gitlab-ci.yml": shapes.gitlab(shape, image),
        ".gitignore": ".gitlab-ci-local/\n",
    }
    server.change(files)


def _pushed(server: Server) -> float:
    server.change()
    began = time.perf_counter()
    server.run_to_note()
    return time.perf_counter() - began


def _command(name: str, peer: tools.Peer, image: str) -> list[str]:
    if name == tools.ACT:
        return [str(peer.binary), "push", "--bind", "-P", f"bench={image}", "--pull=false"]  # no copy, no checkout
    return [str(peer.binary), "--helper-image", image, "--pull-policy", "if-not-present"]


def _seconds(command: list[str], server: Server, peer: tools.Peer | None = None) -> float:
    """In the working tree of the clone. RuntimeError if it does not succeed."""
    environment = dict(server.environment)
    if peer:
        environment["PATH"] = ":".join([*map(str, peer.paths), environment["PATH"]])
        environment["LD_LIBRARY_PATH"] = ":".join(map(str, peer.libraries))
        (server.home / ".config" / "act").mkdir(parents=True, exist_ok=True)
        (server.home / ".config" / "act" / "actrc").touch()  # or it asks which images to use
    began = time.perf_counter()
    done = subprocess.run(command, cwd=server.clone, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    spent = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return spent


def _volumes() -> set[str]:
    listed = subprocess.run(["docker", "volume", "ls", "--quiet"], capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


if __name__ == "__main__":
    print(render(TITLE, run()))
