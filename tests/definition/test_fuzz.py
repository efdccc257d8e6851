"""Whatever is pushed, the loader answers: no crash, every diagnostic in a place that exists, and no input that takes long."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.definition.buildspec.document import PHASES, Buildspec
from agent.definition.codes import CODES
from agent.definition.diagnostics import render
from agent.definition.load import load
from agent.definition.schema import models, models_of
from agent.definition.source import MemoryTree
from agent.plan.build import build
from tests.support.definitions import cases, codes, read

KEYS = sorted({field.alias or name for model in models() for name, field in model.model_fields.items()} | {"axes", "on", "steps"})
TEXTS = st.sampled_from(
    [
        "a",
        "b",
        "build",
        "",
        "true",
        "3.10",
        "30m",
        "0s",
        "2g",
        "**",
        "[",
        "../x",
        "${{ a.v }}",
        "${{ matrix.x }}",
        "${{ x",
        "${{ }}",
        "#{a.b}",
        "* * * * *",
        "UTC",
        "success",
        "always",
        "skip",
        "rollback",
        "~",
        "-1",
        "99999999999999999999",
        "ü\x1b",
        ".pipeline/actions/a.yaml",
    ]
)
VALUES = st.recursive(
    TEXTS | st.none() | st.integers() | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | TEXTS, inner, max_size=5),
    max_leaves=25,
)
SEEDS = [
    case.read_bytes() for kind in ("valid", "broken") for case in cases(kind) if case.is_file() and case.stat().st_size < 4000
]


def judged(files):
    """Load, and hold what must be true of every answer."""
    loaded = load(MemoryTree(files))
    for diagnostic in loaded.diagnostics:
        assert diagnostic.code in CODES
        lines = loaded.sources.get(diagnostic.span.path, "").split("\n")
        assert 0 <= diagnostic.span.line <= len(lines)
        if diagnostic.span.line:
            assert 1 <= diagnostic.span.column <= len(lines[diagnostic.span.line - 1]) + 1
    for form in ("text", "json", "github"):
        shown = render(loaded.diagnostics, loaded.sources, form)
        assert all(line.replace("\t", "").isprintable() for line in shown.split("\n"))
    if not loaded.diagnostics:
        assert loaded.entries is not None
    return loaded


@given(st.binary(max_size=300))
def test_any_bytes(data):
    judged({".pipeline/a.yaml": data})


@given(st.text(alphabet=" \n\t-:{}[],&*!|>'\"%@`#?<abc$\\", max_size=200))
def test_any_punctuation(text):
    judged({".pipeline/a.yaml": text.encode()})


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(VALUES, VALUES)
def test_any_document(pipeline, action):
    judged({".pipeline/a.yaml": json.dumps(pipeline).encode(), ".pipeline/actions/a.yaml": json.dumps(action).encode()})


@st.composite
def near_pipelines(draw):
    """A pipeline in which any part may be anything."""
    part = lambda sound: draw(VALUES) if draw(st.integers(0, 5)) == 0 else sound  # noqa: E731
    extra = lambda: draw(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2))  # noqa: E731
    actions = [part({"name": f"a{index}", "image": "x", "run": "x", **extra()}) for index in range(draw(st.integers(1, 3)))]
    stages = [part({"name": f"s{index}", "actions": part(actions), **extra()}) for index in range(draw(st.integers(1, 3)))]
    return {"stages": part(stages), **extra()}


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(near_pipelines(), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
def test_nearly_sound_documents(pipeline, action):
    reusable = {"parameters": {"a": "b"}, "action": {"image": "x", "run": "x", **action}}
    judged({".pipeline/a.yaml": json.dumps(pipeline).encode(), ".pipeline/actions/a.yaml": json.dumps(reusable).encode()})


@settings(max_examples=300)
@given(st.sampled_from(SEEDS), st.data())
def test_damaged_cases(seed, data):
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, min(len(seed), start + 20)))
    judged({".pipeline/a.yaml": seed[:start] + data.draw(st.binary(max_size=4)) + seed[end:]})


SPEC_KEYS = sorted({field.alias or name for model in models_of(Buildspec) for name, field in model.model_fields.items()})
SPEC_TEXTS = TEXTS | st.sampled_from(
    ["0.2", "0.1", "RETRY-2-x", "CONTINUE", "yes", "/root/.npm/**/*", "./", "$(codebuild-hash-files a)"]
)
SPEC_VALUES = st.recursive(
    SPEC_TEXTS | st.none() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SPEC_KEYS) | TEXTS, inner, max_size=5),
    max_leaves=15,
)
CALLERS = st.fixed_dictionaries(
    {"buildspec": st.just(True) | VALUES},
    optional=dict.fromkeys(("env", "secrets", "outputs", "artifacts", "inputs", "retries"), VALUES),
)


@st.composite
def near_buildspecs(draw):
    """A buildspec in which any part may be anything."""
    part = lambda sound: draw(SPEC_VALUES) if draw(st.integers(0, 5)) == 0 else sound  # noqa: E731
    phase = lambda: {"commands": part(["make"]), **draw(st.dictionaries(st.sampled_from(SPEC_KEYS), SPEC_VALUES, max_size=1))}  # noqa: E731
    return {
        "version": part("0.2"),
        "env": part({"variables": part({"A": "b"}), "exported-variables": part(["A"])}),
        "phases": part({name: phase() for name in draw(st.lists(st.sampled_from(PHASES), unique=True))}),
        "artifacts": part({"files": part(["**/*"]), "secondary-artifacts": part({"one": part({"files": ["x"]})})}),
        "cache": part({"paths": part(["/root/.m2/**/*"])}),
        "reports": part({"unit": part({"files": part(["*.xml"])})}),
    }


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(near_buildspecs() | SPEC_VALUES, CALLERS)
def test_nearly_sound_buildspecs(spec, caller):
    pipeline = {"stages": [{"name": "s", "actions": [{"name": "a", "image": "x", **caller}]}]}
    loaded = judged({".pipeline/a.yaml": json.dumps(pipeline).encode(), "buildspec.yml": json.dumps(spec).encode()})
    if not loaded.diagnostics:
        build(loaded.pipelines[0], {})


SOUND = "stages: [{name: a, actions: [{name: a, image: x, run: x}]}]\n"
MEGABYTE = 1_040_000


def many(unit, size=MEGABYTE):
    return "".join(unit.replace("#", str(index)) for index in range(size // (len(unit) + 4)))


BOMBS = {
    "open lists": "[" * MEGABYTE,
    "open mappings": "{a: " * (MEGABYTE // 4),
    "a list of items": "- a\n" * (MEGABYTE // 4),
    "one text": SOUND + "env: {A: " + "x" * (MEGABYTE - 100) + "}",
    "comments": "#\n" * (MEGABYTE // 2),
    "unknown keys": SOUND + many("key#: 1\n"),
    "keys without a value": SOUND + many("key#:\n", 500_000),
    "environment": SOUND + "env: {" + many("K#: 1, ", 500_000) + "}",
    "bad names": SOUND + "env: {" + many("K-#: 1, ", 500_000) + "}",
    "stages": "stages:\n" + many("- {name: s#, actions: [{name: a, image: x, run: x}]}\n", 400_000),
    "broken stages": "stages:\n" + many("- {name: s#, actions: [{run: x}]}\n", 300_000),
    "texts as stages": "stages: [" + "a," * 90_000 + "]",
    "references": SOUND + "env: {A: '" + "${{ a.b }}" * 100_000 + "'}",
    "open references": SOUND + "env: {A: '" + "${{" * 300_000 + "'}",
    "references in a script": SOUND.replace("run: x", "run: '" + "${{ a.b }}" * 100_000 + "'"),
    "needs": SOUND.replace("run: x", "run: x, needs: [" + "b," * 90_000 + "]"),
    "inputs": SOUND.replace("run: x", "run: x, inputs: [" + many("a#, ", 400_000) + "]"),
    "secrets": SOUND.replace("run: x", "run: x, secrets: [" + many("a#, ", 400_000) + "]"),
    "triggers": "triggers:\n" + many("- push: {branches: [a#]}\n", 300_000) + SOUND,
    "variables": SOUND + "variables: {" + many("a#: b, ", 400_000) + "}",
    "globs": "triggers: [{push: {branches: [" + "'" + "{a,b}" * 7 + "'," * 1 + "]}}]\n" + SOUND,
    "matrices": "stages:\n" + many(
        "- {name: s#, actions: [{name: a, image: x, run: x, matrix: {x: [1,2,3,4,5,6,7,8,9,10,11], y: [1,2,3,4,5,6,7,8,9,10,11], "
        f"include: [{','.join(['{x: 1}'] * 64)}], exclude: [{','.join(['{x: 0}'] * 64)}]}}}}]}}\n",
        55_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda name: name.replace(" ", "-"))
def test_large_input_has_an_answer(bomb):
    """A test run that hangs here has found a slow input."""
    loaded = judged({".pipeline/a.yaml": BOMBS[bomb].encode()})
    assert loaded.diagnostics or loaded.pipelines


def test_a_small_file_cannot_be_used_to_make_a_large_one():
    action = "parameters: {a: x}\naction: {image: x, run: x, env: {" + many("K#: '${{ parameters.a }}', ", 200_000) + "}}"
    uses = many("  - {name: a#, use: .pipeline/actions/big.yaml, with: {a: " + "y" * 900 + "}}\n", 900_000)
    loaded = judged(
        {".pipeline/a.yaml": f"stages:\n- name: s\n  actions:\n{uses}".encode(), ".pipeline/actions/big.yaml": action.encode()}
    )
    assert "GP009" in codes(loaded)


def test_a_value_of_a_parameter_has_a_limit():
    pipeline = "stages: [{name: s, actions: [{name: a, use: .pipeline/actions/b.yaml, with: {a: " + "y" * 1001 + "}}]}]"
    action = "parameters: {a: x}\naction: {image: '${{ parameters.a }}', run: x}"
    assert codes(judged({".pipeline/a.yaml": pipeline.encode(), ".pipeline/actions/b.yaml": action.encode()})) == [
        "GP903",
        "GP804",
    ]


def test_a_report_has_an_end():
    loaded = read(SOUND + many("key#:\n", 20_000))
    assert loaded.report.split("\n")[-1] == f"and {len(loaded.diagnostics) - 200:,} more"
