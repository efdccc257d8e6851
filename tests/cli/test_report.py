"""`git pipeline report` in a real clone, and what Chromium makes of it."""

import re

import pytest

from agent.cli.main import run
from agent.model.ids import attempt_id
from agent.model.outcome import Status
from tests.support.browser import Chromium, colours
from tests.support.published import LOG, Repositories, git
from tests.support.stories import Story, action, plan, stage
from tests.support.tales import CASES

PIPELINE = """\
defaults: {image: alpine}
stages:
  - name: build
    actions: [{name: package, run: make}, {name: unit, run: test, needs: [package]}]
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    made = Repositories(tmp_path)
    monkeypatch.chdir(made.clone)
    return made


@pytest.fixture
def report(capfd):
    def call(*args):
        code = run(["report", *args])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def executed(clone, number=1, *, good=True):
    """A commit with a pipeline, and the notes of an execution of it."""
    directory = clone.clone / ".pipeline"
    directory.mkdir(exist_ok=True)
    (directory / "release.yaml").write_text(PIPELINE + f"# {number}\n")
    git(clone.clone, "add", ".pipeline")
    commit = clone.commit(f"Change {number}")
    story = Story(plan(stage("build", action("package"), action("unit", needs=("package",)))), number=number, commit=commit)
    story.begin().enter("build").start("build", "package").after(2).end("build", "package").start("build", "unit").after(5)
    story = story.end("build", "unit").leave("build").finish() if good else story.fail("build", "unit").finish(Status.FAILED)
    clone.record(story.record)
    return story


def test_the_last_executions_with_graph_timeline_and_history(clone, report):
    executed(clone, 1)
    executed(clone, 2, good=False)
    code, _, err = report()
    assert (code, err) == (0, "wrote pipeline-report.html\n")
    text = (clone.clone / "pipeline-report.html").read_text()
    assert text.index("release #2") < text.index("release #1")
    assert text.count("<svg") == 2
    assert 'class="a c Failed"' in text
    assert "History of release" in text
    assert "Change 2" in text


def test_one_execution_with_its_logs(clone, report):
    story = executed(clone)
    executed(clone, 2)
    identity = attempt_id(story.execution.id, "build", "unit", 1)
    section = f"=== release #1  build/unit  attempt 1  Succeeded  6 bytes  {identity} ===\nhello\n\n"
    clone.note(LOG, story.execution.commit, section.encode())
    code, out, _ = report("1", "-o", "-")
    assert code == 0
    assert out.count("<h3>Timeline</h3>") == 1
    assert re.search(r"<pre[^>]*>hello\n</pre>", out)
    assert "hello" not in report("1", "-o", "-", "--no-logs", "--no-fetch")[1]


def test_a_definition_that_is_not_here_any_more_leaves_out_the_graph(clone, report):
    story = CASES["success"]()[0]
    commit = clone.commit("No pipeline in it")
    again = Story(story.plan, commit=commit).begin()
    clone.record(again.record)
    code, out, _ = report("-o", "-")
    assert code == 0
    assert "<svg" not in out


def test_a_file_that_cannot_be_written(clone, report):
    executed(clone)
    code, _, err = report("-o", "missing/report.html")
    assert code == 3
    assert "cannot write missing/report.html" in err


def test_as_chromium_shows_it(clone, report, tmp_path):
    executed(clone, 1)
    executed(clone, 2, good=False)
    assert report()[0] == 0
    page = clone.clone / "pipeline-report.html"
    browser = Chromium(tmp_path)
    day, night = (colours(browser.picture(page, name, 1200, 1600, dark=name == "night")) for name in ("day", "night"))
    assert day[0][:3] == (255, 255, 255)
    assert max(night[0][:3]) < 40
    assert min(day[1], night[1]) > 100, "an empty page has few different lines"
    assert browser.needs_width(page, 360) <= 360
    assert browser.needs_width(page, 1200) <= 1200
