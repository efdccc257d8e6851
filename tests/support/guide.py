"""A guide of `docs/` as a program: its blocks are run from top to bottom, and what it shows must come.

A block `sh` is run; one whose first line is `# path` is written to that file; each line of a block `text` right below a block
`sh` must be in what that printed, in this order, where … stands for anything and spaces for any number of them.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S*[/.]\S*)\n")


class Step(NamedTuple):
    """Shell to run, and the lines to expect of it."""

    shell: str
    expected: tuple[str, ...] = ()


def steps(text: str) -> Iterator[Step]:
    """The steps of a guide."""
    blocks = list(_BLOCK.finditer(text))
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        kind, body = block.groups()
        if found := _FILE.match(body):
            yield Step(f"cat > {found[1]} <<'END_OF_FILE'\n{body[found.end() :]}END_OF_FILE\n")
        elif kind == "sh":
            shown = after[2] if after and after[1] == "text" and not text[block.end() : after.start()].strip() else ""
            yield Step(body, tuple(line.strip() for line in shown.splitlines() if line.strip()))


def missing(expected: tuple[str, ...], printed: str) -> list[str]:
    """The expected lines that were not printed, or not in their order."""
    rest, lacking = re.sub(r"[ \t]+", " ", printed), []
    for line in expected:
        pattern = ".*".join(re.escape(part) for part in re.sub(r" +", " ", line).split("…"))
        found = re.search(pattern, rest)
        if found:
            rest = rest[found.end() :]
        else:
            lacking.append(line)
    return lacking


class Reader:
    """Somebody who types what a guide says; the directory stays from one block to the next."""

    def __init__(self, home: Path, environment: Mapping[str, str], words: Mapping[str, str]) -> None:
        self._place = home
        self._environment = environment
        self._words = words

    def follow(self, text: str) -> None:
        """Raises AssertionError for the first block that fails, or does not print what the guide shows."""
        for word, meant in self._words.items():
            text = text.replace(word, meant)
        for step in steps(text):
            printed = self._type(step.shell)
            lacking = missing(step.expected, printed)
            assert not lacking, f"{step.shell}\nprinted\n{printed}\nwithout\n" + "\n".join(lacking)

    def _type(self, shell: str) -> str:
        script = f"set -e\n{shell}\nprintf '\\n%s' \"$PWD\" >&3\n"
        told = self._place / ".place"
        done = subprocess.run(
            ["bash", "-c", f"exec 3>'{told}'\n{script}"],
            cwd=self._place,
            env=dict(self._environment),
            capture_output=True,
            text=True,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{shell}\nended with {done.returncode}\n{printed}"
        place = Path(told.read_text().strip())
        told.unlink()
        self._place = place
        return printed
