"""What a program shows in a pseudo-terminal."""

import os
import select
from collections.abc import Callable, Iterator

QUIET = 1.0  # seconds


def pieces(terminal: int, quiet: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    """What is shown, as it comes, until the program has ended; the terminal is closed then.

    `quiet` is called whenever nothing new was shown for a second.
    """
    try:
        while True:
            if not select.select([terminal], [], [], QUIET)[0]:
                quiet()
            elif piece := os.read(terminal, 65536):
                yield piece
            else:
                return
    except OSError:  # EIO: nobody is at the other end any more
        pass
    finally:
        os.close(terminal)
