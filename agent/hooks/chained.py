"""Runs the post-receive hook that was there before the agent: same input, environment, directory and output."""

import os
import signal
from collections.abc import Mapping

_DEFAULT_AGAIN = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)


def run(path: str, text: bytes, environ: Mapping[str, str]) -> None:
    """Run it to its end. git takes no notice of how a post-receive hook ends, and neither do we."""
    reader, writer = os.pipe()
    try:
        pid = os.posix_spawn(
            path,
            [path],
            dict(environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0), (os.POSIX_SPAWN_DUP2, 1, 2)],
            setsigdef=_DEFAULT_AGAIN,
        )
    except OSError:
        os.close(writer)
        return
    finally:
        os.close(reader)
    _feed(writer, text)
    os.waitpid(pid, 0)


def _feed(writer: int, text: bytes) -> None:
    try:
        while text:
            text = text[os.write(writer, text) :]
    except OSError:
        pass  # it does not read its input
    finally:
        os.close(writer)
