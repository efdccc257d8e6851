"""A Bench whose engine builds images, and nothing of it left behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from agent.config import Config
from tests.support import executors
from tests.support.attempts import Bench


@contextmanager
def building(root: Path, identity: str, files: dict[str, str], config: Config) -> Iterator[Bench]:
    """A real engine, which may be that of other runs too: ours are known by `identity`."""
    made, client = executors.docker(identity), docker.APIClient(version="auto")
    try:
        bench = Bench(root, files, made)
        bench.config = config
        yield bench
        assert made.sweep(frozenset()) == ()
        for name in made.images.forget(frozenset(), dry_run=True):
            client.remove_image(name.removeprefix("image "))  # with the layers, so that nothing is there when tests run again
        assert made.images.forget(frozenset()) == ()
    finally:
        made.close()
        client.close()
