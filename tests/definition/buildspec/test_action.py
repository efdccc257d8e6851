"""A buildspec becomes the keys of an action."""

from datetime import timedelta

import pytest

from agent.definition.load import MAX_TOTAL, load
from agent.definition.nodes import MAX_BYTES
from agent.definition.source import SYMLINK, MemoryTree
from agent.model import plan as model
from agent.plan.build import build
from tests.support.definitions import CASES, codes, tree

CALLER = "stages: [{name: s, actions: [{name: a, image: x, buildspec: ci/b.yml}]}]"
SPEC = b"version: 0.2\nphases: {build: {commands: [make]}}\n"


def loaded(spec: bytes, caller: str = CALLER, modes=None):
    return load(MemoryTree({".pipeline/release.yaml": caller.encode(), **({"ci/b.yml": spec} if spec else {})}, modes))


def planned(case: str):
    found = load(tree(CASES / "valid" / case))
    assert found.report == ""
    return {action.name: action for stage in build(found.pipelines[0], {}).stages for action in stage.actions}


def test_all_of_a_file():
    app = planned("buildspec")["app"]
    assert isinstance(app.work, model.Run)
    assert (app.work.runner, app.work.image, app.work.shell, app.work.user) == ("docker", "alpine", "bash", "root")
    assert "npm ci" in app.work.script
    assert app.env == {"LEVEL": "3"}
    assert app.outputs == ("VERSION",)
    assert app.artifacts == (model.ArtifactOutput(name="app", files=("**/*",), exclude=("**/*.map",), base="dist"),)
    assert app.cache == (model.Cache(paths=("~/.npm", "node_modules"), key_files=("package-lock.json",), key="npm-"),)
    assert app.reports == ("reports/*.xml",)
    assert app.retries == model.Retries(count=2, delay=timedelta(seconds=5))


def test_what_cannot_be_done_is_told_in_the_log():
    script = planned("buildspec")["app"].work.script
    for word in ("runtime-versions", "batch", "proxy", "cache path packages/*/node_modules/**/*", "reports cucumber"):
        assert f"echo '{word}" in script


def test_the_action_goes_over_the_file():
    actions = planned("buildspec")
    assert actions["web"].env == {"LEVEL": "${{ source.branch }}"}
    assert actions["web"].outputs == ("extra", "TAG")
    assert actions["web"].retries.count == 1
    assert actions["app-2"].retries.count == 2


def test_artifacts():
    actions = planned("buildspec")
    assert actions["web"].artifacts == (model.ArtifactOutput(name="site", files=("index.html",), flat=True),)
    assert actions["parts"].artifacts == (
        model.ArtifactOutput(name="one", files=("a/*",), base="out"),
        model.ArtifactOutput(name="two", files=("b",)),
    )


def test_inputs_have_their_directories():
    script = planned("buildspec")["app-2"].work.script
    assert 'export CODEBUILD_SRC_DIR_app="$PIPELINE_INPUT_APP"' in script
    assert 'export CODEBUILD_SRC_DIR_site="$PIPELINE_INPUT_SITE"' in script


def test_in_a_matrix_and_in_a_reusable_action():
    actions = planned("buildspec-matrix")
    assert [action.artifacts[0].name for action in (actions["unit (3.11)"], actions["unit (3.12)"])] == [
        "wheel-3.11",
        "wheel-3.12",
    ]
    assert "make lint" in actions["lint"].work.script


def test_the_files_that_matter_are_named():
    assert loaded(SPEC).buildspecs == ("ci/b.yml",)
    assert loaded(b"").buildspecs == ("ci/b.yml",)


def test_only_regular_files():
    found = loaded(b"", modes={"ci/b.yml": SYMLINK})
    assert codes(found) == ["GP905"]
    assert "is a symbolic link" in found.report


def test_a_large_file():
    assert codes(loaded(SPEC + b"#" * MAX_BYTES)) == ["GP905"]


def test_many_large_files():
    big = SPEC + b"#" * (MAX_BYTES - 100)
    actions = ", ".join(f"{{name: a{number}, image: x, buildspec: {number}.yml}}" for number in range(6))
    files = {f"{number}.yml": big for number in range(6)}
    found = load(MemoryTree({".pipeline/x.yaml": f"stages: [{{name: s, actions: [{actions}]}}]".encode(), **files}))
    assert set(codes(found)) == {"GP905"}
    assert len(found.diagnostics) == 6 - MAX_TOTAL // MAX_BYTES


def test_one_large_file_in_many_actions():
    spec = b"version: 0.2\nphases: {build: {commands: ['" + b"#" * 500_000 + b"']}}\n"
    actions = ", ".join(f"{{name: a{number}, image: x, buildspec: ci/b.yml}}" for number in range(20))
    assert set(codes(loaded(spec, f"stages: [{{name: s, actions: [{actions}]}}]"))) == {"GP009"}


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        ("'/root/.npm/**/*', /root", ("~/.npm", "~")),
        ("./node_modules/**, 'vendor/*'", ("node_modules", "vendor")),
        ("'**/*', 'a/*/b'", ()),
        ("/var/cache/apt", ("/var/cache/apt",)),
    ],
)
def test_cached_directories(paths, kept):
    found = loaded(SPEC + f"cache: {{paths: [{paths}]}}\n".encode())
    (action,) = found.pipelines[0].stages[0].actions
    assert tuple(path for cache in action.cache for path in cache.paths) == kept


def test_a_reference_in_a_command_is_told_where_it_stands():
    found = loaded(b"version: 0.2\nphases:\n  build:\n    commands:\n      - echo ${{ source.branch }}\n")
    assert [(one.code, one.span.path, one.span.line, one.span.column) for one in found.diagnostics] == [
        ("GP305", "ci/b.yml", 5, 14)
    ]
