"""What a program shows in a pseudo-terminal."""

import os
from collections.abc import Iterator


def pieces(terminal: int) -> Iterator[bytes]:
    """What is shown, as it comes, until the program has ended; the terminal is closed then."""
    try:
        while piece := os.read(terminal, 65536):
            yield piece
    except OSError:  # EIO: nobody is at the other end any more
        pass
    finally:
        os.close(terminal)
