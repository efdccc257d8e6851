"""A place in a file."""

from typing import NamedTuple


class Span(NamedTuple):
    """A place in a pipeline file: repository path, and line and column counted from 1. Line 0 means the file as a whole."""

    path: str
    line: int = 0
    column: int = 0
