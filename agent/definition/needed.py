"""What the commit must have besides its pipeline files: the appspec of each deployment that releases the commit itself."""

from collections.abc import Iterator
from typing import NamedTuple

from agent.definition.diagnostics import Diagnostic
from agent.definition.reading import Reading


class Needed(NamedTuple):
    """A file by its path, and what is wrong where it is missing."""

    path: str
    missing: Diagnostic


def needed(reading: Reading) -> Iterator[Needed]:
    """GP807. What an artifact has is known only when it is made."""
    for placed in reading.actions:
        deploy = placed.action.deploy
        if deploy and deploy.appspec and not placed.action.inputs and "inputs" not in reading.lost:
            message = f"the commit has no file {deploy.appspec}"
            hint = "its path from the root of the repository; an appspec in an artifact needs `inputs: [artifact]`"
            yield Needed(deploy.appspec, reading.at("GP807", (*placed.loc, "deploy", "appspec"), message, hint))
