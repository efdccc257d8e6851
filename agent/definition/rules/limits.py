"""How much a pipeline may be (GP501 to GP505; codepipeline.md 6)."""

from collections.abc import Iterator

from agent.definition.diagnostics import Diagnostic
from agent.definition.document import Condition
from agent.definition.matrix import MAX_ENTRIES, MAX_LEGS, too_large
from agent.definition.reading import Reading

_SIZE_OF_MATRIX = f"at most {MAX_LEGS} combinations of values, and {MAX_ENTRIES} entries of include and of exclude, are read"
STAGES = 50
ACTIONS_OF_STAGE = 50
ACTIONS_OF_PIPELINE = 1000
RULES = 5
TRIGGERS = 50
VARIABLES = 50


def stages(reading: Reading) -> Iterator[Diagnostic]:
    """GP501: at most 50 stages."""
    count = len(reading.pipeline.stages)
    if count > STAGES:
        message = f"a pipeline has at most {STAGES} stages; this one has {count}"
        yield reading.at("GP501", ("stages", STAGES), message, "divide it into several pipelines")


def actions_of_stage(reading: Reading) -> Iterator[Diagnostic]:
    """GP502: at most 50 actions in a stage, each leg of a matrix counted."""
    for at, stage in enumerate(reading.pipeline.stages[:STAGES]):
        count = 0
        for index, action in enumerate(stage.actions):
            count += 1 if action.matrix is None else len(reading.legs_of((at, index)))
            if count > ACTIONS_OF_STAGE:
                message = f"a stage has at most {ACTIONS_OF_STAGE} actions, each combination of a matrix counted"
                yield reading.at("GP502", ("stages", at, "actions", index), message, "divide it into several stages")
                break


def actions_of_pipeline(reading: Reading) -> Iterator[Diagnostic]:
    """GP503: at most 1,000 actions are written in a pipeline; those of a matrix count once."""
    count = len(reading.actions)
    if count > ACTIONS_OF_PIPELINE:
        message = f"a pipeline has at most {ACTIONS_OF_PIPELINE:,} actions; this one has {count:,}"
        place = reading.actions[ACTIONS_OF_PIPELINE]
        yield reading.at("GP503", place.loc, message, "divide it into several pipelines")


def starts(reading: Reading) -> Iterator[Diagnostic]:
    """GP506: at most 50 triggers, and 50 variables."""
    if len(reading.pipeline.triggers or ()) > TRIGGERS:
        message = f"a pipeline has at most {TRIGGERS} triggers; this one has {len(reading.pipeline.triggers or ())}"
        yield reading.at("GP506", ("triggers", TRIGGERS), message, "one trigger takes a list of patterns")
    if len(reading.pipeline.variables) > VARIABLES:
        message = f"a pipeline has at most {VARIABLES} variables; this one has {len(reading.pipeline.variables)}"
        yield reading.at("GP506", ("variables", list(reading.pipeline.variables)[VARIABLES]), message, on_key=True)


def matrices(reading: Reading) -> Iterator[Diagnostic]:
    """GP504: a matrix has at least one combination, and not more than can ever run."""
    for placed in reading.actions:
        if placed.action.matrix is None:
            continue
        loc = (*placed.loc, "matrix")
        if too_large(placed.action.matrix):
            message = f"the matrix of '{placed.action.name}' is too large"
            yield reading.at("GP504", loc, message, _SIZE_OF_MATRIX, on_key=True)
        elif not reading.legs_of(placed.spot):
            message = f"the matrix of '{placed.action.name}' has no combination left"
            yield reading.at("GP504", loc, message, "give it values, or exclude less", on_key=True)


def rules(reading: Reading) -> Iterator[Diagnostic]:
    """GP505: at most five rules in a condition."""
    for at, stage in enumerate(reading.pipeline.stages):
        for gate in ("before_entry", "on_success", "on_failure"):
            condition: Condition | None = getattr(stage.conditions, gate)
            if condition and len(condition.rules) > RULES:
                message = f"a condition has at most {RULES} rules; this one has {len(condition.rules)}"
                yield reading.at("GP505", ("stages", at, "conditions", gate, "rules", RULES), message)
