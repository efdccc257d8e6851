"""What waits for what (GP203 to GP207)."""

from collections.abc import Iterator

from agent.definition.diagnostics import Diagnostic
from agent.definition.order import cycle, stage_needs
from agent.definition.reading import Reading
from agent.definition.suggest import did_you_mean, nearest


def unknown_actions(reading: Reading) -> Iterator[Diagnostic]:
    """GP203: `needs` names an action that is not in the stage."""
    for placed in reading.actions:
        names = [action.name for action in placed.stage.actions]
        for index, need in enumerate(placed.action.needs):
            if need in names or need in reading.lost:
                continue
            others = [name for name in names if name != placed.action.name]
            elsewhere = next((stage.name for stage in reading.pipeline.stages for one in stage.actions if one.name == need), "")
            hint = did_you_mean(need, others, "the other actions are")
            if elsewhere and not nearest(need, others):
                hint = f"it is in stage '{elsewhere}'; stages wait for each other by `needs` of the stage, or by their order"
            message = f"stage '{placed.stage.name}' has no action '{need}'"
            yield reading.at("GP203", (*placed.loc, "needs", index), message, hint)


def action_cycles(reading: Reading) -> Iterator[Diagnostic]:
    """GP204: actions of a stage wait for each other."""
    for at, stage in enumerate(reading.pipeline.stages):
        path = cycle({action.name: action.needs for action in stage.actions})
        if path:
            index = next(index for index, action in enumerate(stage.actions) if action.name == path[0])
            message = f"actions need each other: {' -> '.join(path)}"
            yield reading.at(
                "GP204", ("stages", at, "actions", index, "needs"), message, "remove one of these needs", on_key=True
            )


def unknown_stages(reading: Reading) -> Iterator[Diagnostic]:
    """GP205: `needs` names a stage that does not exist."""
    names = [stage.name for stage in reading.pipeline.stages]
    for at, stage in enumerate(reading.pipeline.stages):
        for index, need in enumerate(stage.needs or ()):
            if need not in names and need not in reading.lost:
                hint = did_you_mean(need, [name for name in names if name != stage.name], "the other stages are")
                yield reading.at("GP205", ("stages", at, "needs", index), f"there is no stage '{need}'", hint)


def stage_cycles(reading: Reading) -> Iterator[Diagnostic]:
    """GP206: stages wait for each other."""
    path = cycle(stage_needs(reading.pipeline))
    if path:
        index = next(index for index, stage in enumerate(reading.pipeline.stages) if stage.name == path[0])
        implied = [stage.name for stage in reading.pipeline.stages if stage.needs is None and stage.name in path[:-1]]
        hint = "remove one of these needs"
        if implied:
            hint = f"'{implied[0]}' has no `needs`, so it waits for the stage before it; `needs: []` lets it wait for none"
        yield reading.at("GP206", ("stages", index, "needs"), f"stages need each other: {' -> '.join(path)}", hint, on_key=True)


def when_without_needs(reading: Reading) -> Iterator[Diagnostic]:
    """GP207: an action that looks at the end of others, but of none."""
    for placed in reading.actions:
        if placed.action.when == "success" or placed.action.needs:
            continue
        others = [action.name for action in placed.stage.actions if action.when == "success"]
        hint = f"write `needs: [{', '.join(others[:8])}]`" if others else "put it into the stage whose actions it looks at"
        message = f"`when: {placed.action.when}` looks at the end of what the action needs, and it needs nothing"
        yield reading.at("GP207", (*placed.loc, "when"), message, hint)
