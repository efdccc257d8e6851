"""Text of others on somebody's screen: nothing in it may steer the terminal. The hooks import this."""

import re

WIDEST = 4000  # characters of a line that are shown

_SEQUENCES = (
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)"  # CSI, OSC and other strings, the rest
)
_CONTROL = "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"  # also what reorders text on a screen


def sanitise(line: str) -> str:
    """The line without anything that could steer a terminal; of text overwritten by a carriage return, what stayed."""
    if not (line.isascii() and line.isprintable()):  # else the patterns need not even be compiled
        shown = [part for part in re.sub(_SEQUENCES, "", line).split("\r") if part]
        line = re.sub(_CONTROL, "\N{REPLACEMENT CHARACTER}", shown[-1]) if shown else ""
    return line if len(line) <= WIDEST else line[:WIDEST] + " …"
