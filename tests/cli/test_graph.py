"""`git pipeline graph` in a real clone: the working tree, a commit, a run."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from agent.cli.main import run
from agent.cli.tree import durations
from agent.results.record import ActionRecord, Record, StageRecord
from tests.support.published import Repositories, git
from tests.support.repo import Repo

PIPELINE = """\
defaults: {image: alpine}
stages:
  - name: build
    actions: [{name: package, run: make}, {name: unit, run: test, needs: [package]}]
  - name: live
    actions: [{name: web, deploy: {to: web}}]
"""
TEXT = """\
release

build
├── package  run alpine
└── unit     run alpine, after package

live
└── web      deploy to web, rolling
"""


@pytest.fixture
def repo(tmp_path, monkeypatch):
    made = Repo(tmp_path)
    made.commit({".pipeline/release.yaml": PIPELINE}, "pipelines")
    monkeypatch.chdir(made.clone)
    return made


@pytest.fixture
def graph(capfd):
    def call(*args):
        code = run(["graph", *args])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_the_working_tree(repo, graph, monkeypatch):
    assert graph() == (0, TEXT, "")
    repo.write({".pipeline/release.yaml": PIPELINE.replace("package", "compile"), "sub/a": ""})
    monkeypatch.chdir(repo.clone / "sub")
    assert "├── compile" in graph("release")[1]


def test_a_commit(repo, graph):
    repo.commit({".pipeline/release.yaml": PIPELINE.replace("package", "compile")}, "renamed")
    assert graph("release", "HEAD~1") == (0, TEXT, "")


def test_a_bare_repository_shows_its_head(repo, graph, monkeypatch):
    repo.git("push", "-q", "origin", "main")
    monkeypatch.chdir(repo.bare)
    assert graph() == (0, TEXT, "")


@pytest.mark.parametrize(("form", "start"), [("mermaid", "flowchart LR\n"), ("dot", 'digraph "release" {\n'), ("svg", "<svg ")])
def test_formats(repo, graph, form, start):
    code, out, _ = graph("--format", form)
    assert code == 0
    assert out.startswith(start)
    assert form != "svg" or ElementTree.fromstring(out).tag.endswith("svg")


def test_several_pipelines(repo, graph):
    repo.write({".pipeline/docs.yaml": PIPELINE})
    assert graph()[1] == TEXT.replace("release", "docs") + "\n" + TEXT
    assert graph("--format", "svg")[::2] == (2, "git pipeline: an SVG holds one pipeline\nhint: name one of docs, release\n")
    assert graph("docs", "--format", "svg")[0] == 0


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["relaese"], 2, "the working tree has no pipeline relaese\nhint: did you mean release?"),
        (["HEAD"], 2, "it has release; a revision comes after the name"),
        (["release", "nowhere"], 2, "nowhere is no commit here"),
        (["release", "empty"], 2, "empty has no pipelines"),
        (["", "broken"], 1, ".pipeline/release.yaml:1:"),
    ],
)
def test_what_cannot_be_drawn(repo, graph, args, code, said):
    repo.branch("broken")
    repo.commit({".pipeline/release.yaml": "stages: 1\n"}, "broken")
    repo.orphan("empty")
    repo.commit({"a": ""}, "empty")
    repo.git("checkout", "-q", "main")
    found, _, err = graph(*args)
    assert found == code
    assert said in err


def test_a_run_shows_its_times_and_the_critical_path(tmp_path, monkeypatch, graph):
    place = Repositories(tmp_path)
    monkeypatch.chdir(place.clone)
    (place.clone / ".pipeline").mkdir()
    (place.clone / ".pipeline/release.yaml").write_text(PIPELINE)
    git(place.clone, "add", "-A")
    record = recorded(place.commit("a commit"))
    place.record(record)
    assert graph("--run", "7") == (
        0,
        "release\n\nbuild\n├── package  run alpine  3.0s *\n└── unit     run alpine, after package  20s *\n"
        "\nlive\n└── web      deploy to web, rolling\n\n* critical path\n",
        "",
    )
    assert graph("other", "--run", "7")[0] == 2
    assert durations(record) == {("build", "package"): timedelta(seconds=3), ("build", "unit"): timedelta(seconds=20)}


def recorded(commit):
    """An execution whose deploy was still running."""
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def ran(name, seconds=None):
        return ActionRecord(name=name, started_at=start, ended_at=start + timedelta(seconds=seconds) if seconds else None)

    stages = (
        StageRecord(name="build", actions=(ran("package", 3), ran("unit", 20))),
        StageRecord(name="live", actions=(ran("web"),)),
    )
    moments = {"created_at": start, "started_at": start, "ended_at": None, "written_at": start}
    about = {"pipeline": "release", "number": 7, "commit": commit, "ref": "refs/heads/main", "since": "", "trigger": "push"}
    return Record(id="0" * 26, schema=1, actor="", status="InProgress", message="", stages=stages, **moments, **about)
