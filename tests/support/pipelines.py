"""Pipelines for tests, as documents: by hand, and any that are well formed (hypothesis)."""

from hypothesis import strategies as st

from agent.definition.document import Pipeline


def action(name, **keys):
    kinds = {"run", "approval", "deploy", "uses"}
    return {"name": name, **({} if kinds & keys.keys() else {"run": "true"}), **keys}


def stage(name, *actions, **keys):
    return {"name": name, "actions": list(actions), **keys}


def pipeline(*stages, name="release", **keys):
    return Pipeline.model_validate({"name": name, "stages": list(stages), **keys})


@st.composite
def _needs(draw, names):
    """For each name some of those before it, in an order that is not that of the file."""
    shuffled = draw(st.permutations(names))
    return {
        name: draw(st.lists(st.sampled_from(shuffled[:index]), unique=True, max_size=3)) if index else []
        for index, name in enumerate(shuffled)
    }


@st.composite
def _pipelines(draw):
    stages = [f"s{number}" for number in range(draw(st.integers(1, 4)))]
    stage_needs = draw(_needs(stages)) if draw(st.booleans()) else dict.fromkeys(stages)
    return pipeline(*(stage(name, *draw(_actions()), needs=stage_needs[name]) for name in stages))


@st.composite
def _actions(draw):
    names = [f"a{number}" for number in range(draw(st.integers(1, 5)))]
    needs = draw(_needs(names))
    return [action(name, needs=needs[name]) for name in names]


pipelines = _pipelines()
