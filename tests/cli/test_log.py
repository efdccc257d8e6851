"""`git pipeline log` in a real clone and on a real server."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli.main import run
from agent.git.notes import Notes
from agent.model.ids import attempt_id
from agent.model.outcome import Status
from agent.results.publish import Publisher
from tests.support.published import Repositories, git
from tests.support.served import serve
from tests.support.stories import Story, action, plan, stage

Command = Callable[..., tuple[int, str, str]]


class Place(Repositories):
    """A server with a publisher, and a clone."""

    def publish(self, story: Story, printed: dict[tuple[str, str, int], str]) -> None:
        logs = self.bare.parent / story.execution.id
        logs.mkdir(exist_ok=True)
        for (of, name, attempt), text in printed.items():
            (logs / f"{attempt_id(story.execution.id, of, name, attempt)}.log").write_text(text)
        Publisher(Notes(self.bare), lambda _: 10_000, float).publish(story.execution, story.plan, story.state, logs, story.now)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    made = Place(tmp_path)
    monkeypatch.chdir(made.clone)
    return made


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    def call(*args: str) -> tuple[int, str, str]:
        code = run(["log", *args])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def built(number: int, commit: str, pipeline: str = "release") -> Story:
    names = ("package", "unit (3.11)", "unit (3.12)")
    story = Story(
        plan(stage("build", *map(action, names)), stage("ship", action("web")), pipeline=pipeline), number, commit=commit
    )
    story.begin().enter("build").start("build", *names).after(3)
    return story.end("build", names[0]).end("build", names[1]).fail("build", names[2])


def printed(number: int) -> dict[tuple[str, str, int], str]:
    return {("build", name, 1): f"{name} of {number}\n" for name in ("package", "unit (3.11)", "unit (3.12)")}


@pytest.fixture
def two(place: Place) -> tuple[Story, Story]:
    """Execution 1 of a commit, and 2 of the next, which is HEAD."""
    first, second = built(1, place.commit("one")), built(2, place.commit("two"))
    place.publish(first, printed(1))
    place.publish(second, printed(2))
    return first, second


def test_without_words_all_of_the_last_execution_of_head(two: tuple[Story, Story], command: Command) -> None:
    code, out, err = command()
    assert (code, err) == (0, "")
    assert out == (
        "==> release #2  build/package  Succeeded <==\npackage of 2\n\n"
        "==> release #2  build/unit (3.11)  Succeeded <==\nunit (3.11) of 2\n\n"
        "==> release #2  build/unit (3.12)  Failed: exit code 1 <==\nunit (3.12) of 2\n"
    )


@pytest.mark.parametrize("words", ["1", "#1", "release#1", "release #1", "release/1", "HEAD~1", "ID", "COMMIT", "SHORT"])
def test_how_an_execution_is_named(two: tuple[Story, Story], command: Command, words: str) -> None:
    first = two[0].execution
    named = {"ID": first.id, "COMMIT": first.commit, "SHORT": first.commit[:9]}.get(words, words)
    assert command(named, "package") == (0, "package of 1\n", "")


def test_a_pipeline_means_its_last_execution(two: tuple[Story, Story], command: Command) -> None:
    assert command("release", "package") == (0, "package of 2\n", "")


@pytest.mark.parametrize("words", ["build/unit (3.12)", "unit (3.12)"])
def test_one_action_alone_has_no_heading(two: tuple[Story, Story], command: Command, words: str) -> None:
    assert command("2", words) == (0, "unit (3.12) of 2\n", "")


@pytest.mark.parametrize(("words", "count"), [("unit", 2), ("build/unit", 2), ("build", 3)])
def test_a_stage_or_the_base_of_a_matrix_means_all_of_it(
    two: tuple[Story, Story], command: Command, words: str, count: int
) -> None:
    assert command("2", words)[1].count("==>") == count


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("2", "packge"), "release #2 has no action packge\nhint: did you mean package"),
        (
            ("2", "xyz"),
            "release #2 has no action xyz\nhint: it has build/package, build/unit (3.11), build/unit (3.12), ship/web",
        ),
        (("relase#2",), "no execution is called relase#2\nhint: did you mean release#2"),
        (("release#99",), "no execution is called release#99\nhint: did you mean release#2 or release#1 or release?"),
        (("--attempt", "4", "2", "package"), "release #2: there is no attempt 4\nhint: the last one is 1"),
    ],
)
def test_a_mistake_says_what_could_have_been_meant(
    two: tuple[Story, Story], command: Command, args: tuple[str, ...], message: str
) -> None:
    code, out, err = command(*args)
    assert (code, out) == (2, "")
    assert err.startswith(f"git pipeline: {message}")


def test_a_number_that_several_pipelines_have(two: tuple[Story, Story], place: Place, command: Command) -> None:
    place.publish(built(1, two[1].execution.commit, "nightly"), {})
    code, _, err = command("1")
    assert code == 2
    assert err.startswith("git pipeline: several pipelines have a #1: ")
    assert {"release#1", "nightly#1"} <= set(err.replace(",", "").split())


def test_head_without_an_execution(two: tuple[Story, Story], place: Place, command: Command) -> None:
    commit = place.commit("three")
    code, _, err = command()
    assert code == 2
    assert (
        err
        == f"git pipeline: no execution of HEAD ({commit[:12]})\nhint: the last one is release #2: git pipeline log release#2\n"
    )


def test_the_last_attempt_or_the_one_asked_for(place: Place, command: Command) -> None:
    story = Story(plan(stage("build", action("unit"))), number=1, commit=place.commit("one"))
    story.begin().enter("build").start("build", "unit").fail("build", "unit").start("build", "unit", attempt=2)
    story.end("build", "unit", attempt=2).leave("build").finish()
    place.publish(story, {("build", "unit", 1): "bad\n", ("build", "unit", 2): "good\n"})
    assert command("1") == (0, "good\n", "")
    assert command("1", "--attempt", "1") == (0, "bad\n", "")


def test_what_printed_nothing_says_so(place: Place, command: Command) -> None:
    place.publish(built(1, place.commit("one")), {})
    assert command("1") == (0, "", "git pipeline: release #1 printed nothing\n")


def test_the_log_of_what_runs_comes_later(place: Place, command: Command) -> None:
    story = Story(plan(stage("build", action("unit"))), number=1, commit=place.commit("one"))
    place.publish(story.begin().enter("build").start("build", "unit"), {("build", "unit", 1): "so far\n"})
    code, out, err = command("1")
    assert (code, out) == (0, "")
    assert err.startswith("git pipeline: release #1: build/unit runs; its log comes with its end")


def test_a_terminal_gets_the_pager_of_git(two: tuple[Story, Story], place: Place) -> None:
    git(place.clone, "config", "core.pager", "sed s/^/paged:/")
    environment = {name: value for name, value in os.environ.items() if name not in {"GIT_PAGER", "PAGER"}}
    ours, theirs = pty.openpty()
    root = str(Path(__file__).parents[2])
    subprocess.run(
        [sys.executable, "-m", "agent", "log", "2", "package"],
        stdout=theirs,
        stdin=subprocess.DEVNULL,
        env=environment | {"PYTHONPATH": root, "TERM": "xterm"},
        check=True,
    )
    os.close(theirs)
    seen = os.read(ours, 4096)
    os.close(ours)
    assert seen == b"paged:package of 2\r\n"


def test_the_server_shows_the_whole_log_also_of_what_runs(place: Place, command: Command, tmp_path: Path) -> None:
    story = Story(plan(stage("build", action("unit"))), number=1, commit=place.commit("one"))
    story.begin().enter("build").start("build", "unit")
    serve(place.bare, story)
    logs = place.bare / "pipeline" / "executions" / story.execution.id / "logs"
    logs.mkdir(parents=True)
    (logs / f"{attempt_id(story.execution.id, 'build', 'unit', 1)}.log").write_text("so far\n")
    for words in ("1", "release#1", "release", "main", story.execution.id):
        assert command("--repo", str(place.bare), words, "unit") == (0, "so far\n", "")


def test_the_server_reads_from_the_notes_what_it_has_removed(two: tuple[Story, Story], place: Place, command: Command) -> None:
    serve(place.bare, built(3, two[0].execution.commit))
    assert command("--repo", str(place.bare), "release#2", "package") == (0, "package of 2\n", "")
    assert command("--repo", str(place.bare), "2", "package") == (0, "package of 2\n", "")


def test_only_what_failed_and_only_what_is_fresh(place: Place, command: Command) -> None:
    commit = place.commit("one")
    story = Story(plan(stage("build", action("unit"), action("lint"))), number=1, commit=commit).begin()
    story.enter("build").start("build", "unit", "lint").after(3).fail("build", "unit").after(60).end("build", "lint")
    story.leave("build", Status.FAILED).finish(Status.FAILED)
    place.publish(story, {("build", "unit", 1): "it broke\n", ("build", "lint", 1): "all well\n"})
    assert command("1", "--failed") == (0, "it broke\n", "")
    assert command("1", "--since", "2026-11-23T12:00:30+00:00") == (0, "all well\n", "")
    assert "nothing of release #1 has ended since then" in command("1", "--since", "10m")[2]
    code, _, err = command("1", "--since", "soon")
    assert (code, "'soon' is no time" in err) == (2, True)
    code, out, _ = command("1", "-f")
    assert (code, out.splitlines()) == (
        0,
        ["==> release #1  build/unit", "it broke", "==> release #1  build/lint", "all well"],
    )
