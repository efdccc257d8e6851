"""Writes the golden notes anew: `python -m tests.support.golden`. What it changed is to be looked at before it is kept."""

from pathlib import Path

from agent.results import note
from tests.support.tales import CASES

if __name__ == "__main__":
    directory = Path(__file__).parents[1] / "cases" / "notes"
    for name, case in CASES.items():
        (directory / f"{name}.txt").write_text(note.render(story.record for story in case()))
