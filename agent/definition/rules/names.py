"""Names that must be unique (GP201, GP202)."""

from collections.abc import Iterator

from agent.definition.diagnostics import Diagnostic
from agent.definition.reading import Reading


def stage_names(reading: Reading) -> Iterator[Diagnostic]:
    """GP201: two stages of one name."""
    first: dict[str, int] = {}
    for index, stage in enumerate(reading.pipeline.stages):
        if first.setdefault(stage.name, index) != index:
            line = reading.at("", ("stages", first[stage.name], "name"), "").span.line
            message = f"a stage is already called '{stage.name}' (line {line})"
            yield reading.at("GP201", ("stages", index, "name"), message, "names of stages are unique in a pipeline")


def action_names(reading: Reading) -> Iterator[Diagnostic]:
    """GP202: two actions of one name in a stage."""
    first: dict[tuple[int, str], int] = {}
    for placed in reading.actions:
        stage, index = placed.spot
        before = first.setdefault((stage, placed.action.name), index)
        if before != index:
            line = reading.at("", ("stages", stage, "actions", before, "name"), "").span.line
            message = f"an action of stage '{placed.stage.name}' is already called '{placed.action.name}' (line {line})"
            yield reading.at("GP202", (*placed.loc, "name"), message, "names of actions are unique in a stage")
