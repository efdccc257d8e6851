"""The one door, by cases: a valid one loads, a broken one says exactly what stands in its `.out`.

After a change of words: `python -m tests.support.definitions` writes the reports anew; what it changed is to be looked at.
"""

import pytest

from agent.definition.codes import CODES
from agent.definition.load import MAX_FILES, MAX_TOTAL, load
from agent.definition.nodes import MAX_BYTES
from agent.definition.source import SUBMODULE, SYMLINK, MemoryTree
from agent.errors import DefinitionError
from tests.support.definitions import cases, codes, read, tree

SMALL = b"stages:\n  - {name: build, actions: [{name: a, image: alpine, run: make}]}\n"
BROKEN = cases("broken")


@pytest.mark.parametrize("case", cases("valid"), ids=lambda case: case.name)
def test_valid(case):
    loaded = load(tree(case))
    assert loaded.report == ""
    assert loaded.pipelines
    assert len(loaded.entries) == len(loaded.pipelines)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_broken(case):
    loaded = load(tree(case))
    assert loaded.report + "\n" == case.with_name(f"{case.name.removesuffix('.yaml')}.out").read_text()
    with pytest.raises(DefinitionError) as error:
        loaded.entries  # noqa: B018 - a property that raises
    assert error.value.message == loaded.report


@pytest.mark.parametrize("case", [case for case in BROKEN if case.name.startswith("GP")], ids=lambda case: case.name)
def test_a_case_is_called_after_its_code(case):
    assert case.name.split("-")[0] in codes(load(tree(case)))


def test_every_code_has_a_case():
    of_trees = {"GP001", "GP004"}  # below: links, submodules and sizes are no matter of YAML
    of_commits = {"GP807", "GP850"}  # agent.worker.judge, agent.deploy.appspec
    assert {code for case in BROKEN for code in codes(load(tree(case)))} == set(CODES) - of_trees - of_commits


def test_all_mistakes_are_told_at_once():
    assert len(codes(load(tree(next(case for case in BROKEN if case.name == "mixed-twelve-mistakes-in-three-files"))))) >= 12
    files = {"a": 5, "b": 5, "c": 3}
    case = next(case for case in BROKEN if case.name == "mixed-twelve-mistakes-in-three-files")
    spans = [diagnostic.span for diagnostic in load(tree(case)).diagnostics]
    assert {name: sum(span.path == f".pipeline/{name}.yaml" for span in spans) for name in files} == files
    assert spans == sorted(spans)


def test_nothing_there():
    assert load(MemoryTree({"README.md": b""})) == ((), (), {}, (), ())


def test_an_empty_directory():
    assert load(MemoryTree({".pipeline/README.md": b""})) == ((), (), {}, (), ())


def test_the_name_is_the_stem():
    loaded = load(MemoryTree({".pipeline/b.yml": SMALL, ".pipeline/a.x.yaml": SMALL}))
    assert [pipeline.name for pipeline in loaded.pipelines] == ["a.x", "b"]


@pytest.mark.parametrize(
    ("modes", "said"),
    [
        ({".pipeline": SYMLINK}, ".pipeline: GP001 .pipeline is a symbolic link, not a directory"),
        ({".pipeline": SUBMODULE}, ".pipeline: GP001 .pipeline is a submodule, not a directory"),
        ({".pipeline": 0o100644}, ".pipeline: GP001 .pipeline is a file, not a directory"),
        ({".pipeline/x.yaml": SYMLINK}, ".pipeline/x.yaml: GP001 this is a symbolic link; only regular files are read"),
        ({".pipeline/x.yaml": SUBMODULE}, ".pipeline/x.yaml: GP001 this is a submodule; only regular files are read"),
        ({".pipeline/lib": SUBMODULE}, ".pipeline/lib: GP001 this is a submodule; only regular files are read"),
        ({".pipeline/actions": SYMLINK}, ".pipeline/actions: GP001 .pipeline/actions is a symbolic link, not a directory"),
        (
            {".pipeline/actions/x.yaml": SYMLINK},
            ".pipeline/actions/x.yaml: GP001 this is a symbolic link; only regular files are read",
        ),
    ],
)
def test_only_regular_files(modes, said):
    loaded = load(MemoryTree({}, modes))
    assert loaded.report.split("\n")[0] == said
    assert codes(loaded) == ["GP001"]


def test_a_directory_called_yaml_is_no_file():
    assert load(MemoryTree({".pipeline/old.yaml/x.yaml": b"["})).diagnostics == ()


def test_a_large_file():
    loaded = read(b"# " + b"x" * MAX_BYTES)
    assert codes(loaded) == ["GP004"]
    assert "1,048,578 bytes" in loaded.report


def test_ten_megabytes():
    files = {f".pipeline/p{number}.yaml": b"#" * 1_000_000 for number in range(10)}
    loaded = load(MemoryTree(files))
    assert loaded.report == f".pipeline: GP004 the files have 10,000,000 bytes together; at most {MAX_TOTAL:,} are read"


def test_many_files():
    loaded = load(MemoryTree({f".pipeline/p{number}.yaml": SMALL for number in range(MAX_FILES + 1)}))
    assert codes(loaded) == ["GP004"]


def test_a_file_that_is_larger_than_its_tree_says():
    class Lying(MemoryTree):
        def entries(self, directory):
            return tuple(entry._replace(size=1) for entry in super().entries(directory))

    assert codes(load(Lying({".pipeline/x.yaml": b"#" * (MAX_BYTES + 1)}))) == ["GP004"]


def test_scripts_keep_their_lines():
    loaded = read(
        "stages:\n- name: a\n  actions:\n  - name: b\n    image: x\n    run: |\n      one\n        two\n\n      three\n"
    )
    assert loaded.pipelines[0].stages[0].actions[0].run == "one\n  two\n\nthree\n"


def test_what_is_written_is_what_is_read():
    loaded = load(tree(next(case for case in cases("valid") if case.stem == "written-as-text")))
    pipeline = loaded.pipelines[0]
    assert pipeline.env == {"A": "no", "B": "012", "C": "3.10", "D": "1e3", "E": "true", "F": "2024-01-01", "G": "null", "H": ""}
    matrix = pipeline.stages[0].actions[0].matrix
    assert matrix is not None
    assert matrix.axes == {"python": ("3.9", "3.10", "3.11")}


def test_the_schema_line_of_editors_is_a_comment():
    assert read(b"# yaml-language-server: $schema=pipeline.schema.json\n" + SMALL).diagnostics == ()


def test_what_the_commit_must_have_besides():
    text = """\
stages:
  - name: build
    actions: [{name: make, image: x, run: make, artifacts: {dist: [x]}}]
  - name: production
    actions:
      - {name: commit, deploy: {to: web, appspec: deploy/appspec.yml}}
      - {name: artifact, inputs: [dist], deploy: {to: web, appspec: appspec.yml}}
"""
    loaded = read(text)
    assert loaded.diagnostics == ()
    assert [(one.path, one.missing.code, one.missing.span[1:]) for one in loaded.needed] == [
        ("deploy/appspec.yml", "GP807", (6, 51))
    ]
