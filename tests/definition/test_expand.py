"""Reusable actions: what the caller's keys do to those of the file, and where mistakes are told."""

from agent.definition.load import load
from agent.definition.source import MemoryTree


def loaded(action, caller, head=""):
    pipeline = f"{head}stages:\n  - name: s\n    actions:\n      - {{name: a, use: .pipeline/actions/x.yaml{caller}}}\n"
    return load(MemoryTree({".pipeline/p.yaml": pipeline.encode(), ".pipeline/actions/x.yaml": action.encode()}))


def action_of(*args):
    found = loaded(*args)
    assert found.report == ""
    return found.pipelines[0].stages[0].actions[0]


FILE = (
    "parameters: {version: '3.11', level: {default: low, choices: [low, high]}}\n"
    "action:\n  image: python:${{ parameters.version }}\n  run: make\n  env: {A: file, L: '${{ parameters.level }}'}\n"
    "  timeout: 1m\n  artifacts: {'out-${{ parameters.level }}': [x]}\n"
)


def test_defaults():
    action = action_of(FILE, "")
    assert (action.name, action.image, action.run, action.use) == ("a", "python:3.11", "make", None)
    assert (action.env, list(action.artifacts)) == ({"A": "file", "L": "low"}, ["out-low"])


def test_parameters():
    action = action_of(FILE, ", with: {version: 3.10, level: high}")
    assert (action.image, action.env["L"], list(action.artifacts)) == ("python:3.10", "high", ["out-high"])
    assert action.options == {}


def test_the_caller_has_the_last_word_and_env_is_merged():
    action = action_of(FILE, ", timeout: 2m, env: {A: caller, B: new}, image: other")
    assert (action.env, action.image) == ({"A": "caller", "L": "low", "B": "new"}, "other")
    assert action.timeout is not None
    assert action.timeout.seconds == 120


def test_references_go_through_parameters():
    action = action_of(FILE, ", with: {version: '${{ variables.v }}'}", "variables: {v: '3.12'}\n")
    assert action.image == "python:${{ variables.v }}"


def test_a_value_with_a_parameter_in_it_is_not_looked_at_again():
    found = loaded(FILE, ", with: {version: '${{ parameters.level }}'}")
    assert [one.code for one in found.diagnostics] == ["GP302"]


def test_a_script_never_gets_a_parameter():
    found = loaded("parameters: {a: x}\naction: {image: x, run: 'echo ${{ parameters.a }}'}\n", ", with: {a: '; rm -rf /'}")
    assert [(one.code, one.span) for one in found.diagnostics] == [("GP305", (".pipeline/actions/x.yaml", 2, 31))]


def test_a_mistake_in_the_file_is_told_once_and_there():
    pipeline = b"stages:\n  - name: s\n    actions:\n" + b"".join(
        b"      - {name: a%d, use: .pipeline/actions/x.yaml}\n" % number for number in range(3)
    )
    action = b"action: {image: x, run: x, timeout: 5}\n"
    found = load(MemoryTree({".pipeline/p.yaml": pipeline, ".pipeline/actions/x.yaml": action}))
    assert [(one.code, one.span) for one in found.diagnostics] == [("GP107", (".pipeline/actions/x.yaml", 1, 37))]


def test_reusable_actions_do_not_nest():
    found = loaded("action: {use: .pipeline/actions/x.yaml}\n", "")
    assert "GP904" in [one.code for one in found.diagnostics]
