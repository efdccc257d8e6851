"""Every importer on files as they are: what it makes stands beside them as `converted.yaml`, and passes the check of a push."""

import os
from pathlib import Path

import pytest

from agent.definition.load import load
from agent.errors import UsageError
from agent.git.tree import DirectoryTree
from agent.importers.table import IMPORTERS, kind_of

CASES = Path(__file__).parents[1] / "cases" / "importers"
FILES = sorted(path for path in CASES.rglob("*") if path.is_file() and path.name != "converted.yaml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CASES)))
def test_it_is_converted_as_in_the_file_and_may_be_pushed(path, tmp_path):
    kind = path.relative_to(CASES).parts[0]
    place = path.relative_to(CASES / kind).as_posix()
    assert kind_of(place) == kind
    draft = IMPORTERS[kind](place, path.read_bytes())
    golden = CASES / kind / "converted.yaml"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(draft.text)
    assert draft.text == golden.read_text()
    (tmp_path / ".pipeline").mkdir()
    (tmp_path / ".pipeline" / f"{draft.name}.yaml").write_text(draft.text)
    (tmp_path / "buildspec.yml").write_text(
        "version: 0.2\nphases: {build: {commands: [make]}}\nartifacts: {files: ['**/*'], name: x}\n"
    )
    (tmp_path / "appspec.yml").write_text("version: 0.0\nos: linux\nfiles: [{source: /, destination: /srv}]\n")
    loaded = load(DirectoryTree(tmp_path))
    assert loaded.report == ""
    assert [one.name for one in loaded.pipelines] == [draft.name]


@pytest.mark.parametrize("kind", IMPORTERS)
@pytest.mark.parametrize("data", [b"", b"[1]", b"a: [", b"\xff"], ids=["empty", "list", "broken", "bytes"])
def test_what_is_no_such_file_is_said(kind, data):
    with pytest.raises(UsageError):
        IMPORTERS[kind]("file", data)


@pytest.mark.parametrize("kind", [kind for kind in IMPORTERS if kind != "codepipeline"])
@pytest.mark.parametrize(
    "data",
    [b"jobs: 3", b"jobs: {a: 3}", b"jobs: {a: {steps: [3, null]}}", b"steps: [1]", b"a: {script: [[x, [y]]], image: {name: [1]}}",
     b"on: [x]\nwhen: 3\nservices: 4\nstages: 5", b"jobs: {a: {strategy: 4, needs: [zz], services: 1, env: [1]}}"],
)  # fmt: skip
def test_odd_files_never_break_it(kind, data):
    assert IMPORTERS[kind]("file.yml", data).text.startswith("# From file.yml")
