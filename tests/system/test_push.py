"""What a pusher gets, end to end: real hooks, the worker that they start, real jobs, notes that plain git reads."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import system
from tests.support.system import ROOT, System
from tests.support.working import Working


@pytest.fixture
def repo(tmp_path):
    found = Working(tmp_path / "repo")
    yield found
    found.end()


def example(made: System, runner: str) -> None:
    """The example in the clone, up to where it asks people, its image replaced by this runner."""
    shutil.copytree(ROOT / "examples" / "site", made.clone, dirs_exist_ok=True)
    file = made.clone / ".pipeline" / "site.yaml"
    text, count = re.subn(r'image: "git-pipeline-demo/busybox"', runner, file.read_text())
    assert count == 1
    file.write_text(text.partition("  - name: sign-off\n")[0])


@pytest.mark.parametrize("where", ["local", "docker"])
def test_the_example(made, request, where):
    runner = "runner: local" if where == "local" else f'image: "{request.getfixturevalue("busybox")}"'
    example(made, runner)
    commit = made.commit(message="the site")
    said = made.push("HEAD:refs/heads/main")
    lines = [line.removeprefix("remote: ").rstrip() for line in said.splitlines()]
    assert any("site #1  succeeded" in line for line in lines), said
    assert sum("ok: 2 pages, as many as were built" in line for line in lines) == 1

    made.until(lambda: [one["status"] for one in made.records(commit)] == ["Succeeded"], "the record is there")
    made.git("fetch", "-q", "origin", "refs/notes/*:refs/notes/*")
    shown = made.git("log", "-1", "--notes=pipeline")
    for place in ("build", "pages", "escape", "test"):
        assert place in shown
    records = [json.loads(line) for line in made.git("notes", "--ref=pipeline-record", "show", commit).splitlines()]
    assert [(one["pipeline"], one["number"], one["status"]) for one in records] == [("site", 1, "Succeeded")]
    assert all(one["schema"] for one in records)
    log = made.git("notes", "--ref=pipeline-log", "show", commit)
    assert log.count("ok: 2 pages, as many as were built") == 1
    printed = [line.partition(" | ")[2] for line in lines if " | " in line]
    assert printed
    assert all(line in log for line in printed)
    assert made.fsck() == ""


FULL = """\
defaults: {{image: "{image}"}}
stages:
  - name: build
    actions:
      - name: legs
        matrix: {{letter: [a, b]}}
        env: {{LETTER: "${{{{ matrix.letter }}}}"}}
        run: mkdir -p out; echo "$LETTER" > "out/$LETTER"
        artifacts: {{"leg-${{{{ matrix.letter }}}}": ["out/*"]}}
      - name: count
        run: |
          old=$(cat kept/count || echo 0)
          mkdir -p kept; echo $((old + 1)) > kept/count
          echo "count=$((old + 1))" >> "$PIPELINE_OUTPUT"
        outputs: [count]
        cache: {{paths: [kept], key: v1}}
  - name: test
    actions:
      - name: all
        inputs: [leg-a, leg-b]
        env: {{COUNT: "${{{{ count.count }}}}"}}
        services:
          web:
            image: "{image}"
            command: [sh, -c, "echo served > /tmp/x; httpd -f -p 8000 -h /tmp"]
            ready: wget -q -O /dev/null http://127.0.0.1:8000/x
            ready_timeout: 20s
        run: |
          cat out/a out/b
          echo "count $COUNT"
          wget -q -O - http://web:8000/x
"""


def test_matrix_artifacts_outputs_cache_and_services(made, busybox):
    for number in (1, 2):
        made.commit({".pipeline/full.yaml": FULL.format(image=busybox), "number": str(number)})
        made.queued("HEAD:refs/heads/main")
        assert made.work() == 0
        assert made.rows[-1].status == "Succeeded", made.note("pipeline", made.head).decode()
        log = made.note("pipeline-log", made.head).decode().splitlines()
        assert [line for line in log if line in {"a", "b", f"count {number}", "served"}] == [
            "a",
            "b",
            f"count {number}",
            "served",
        ]
    made.share = True
    assert list(system.leftovers(made)) == []


BUILDSPEC = """\
version: 0.2
env:
  shell: {shell}
  variables: {{WORD: built}}
  exported-variables: [WHAT, LINES]
phases:
  pre_build:
    commands: [NAME=x]
  build:
    on-failure: CONTINUE
    commands:
      - mkdir -p out/deep
      - echo "$WORD" > out/deep/file
      - test ! -e broken || exit 7
      - WHAT=$WORD-$NAME
      - |
        LINES="one
        two"
    finally: ['echo "finally $NAME"']
  post_build:
    commands: ['echo "post $CODEBUILD_BUILD_SUCCEEDING $NAME $CODEBUILD_WEBHOOK_TRIGGER"']
artifacts:
  base-directory: out
  discard-paths: yes
  files: ["**/*"]
"""
BUILT = """\
stages:
  - name: build
    actions: [{{name: app, {runner}, buildspec: true}}]
  - name: use
    actions:
      - name: show
        {runner}
        inputs: [app]
        env: {{WHAT: "${{{{ app.WHAT }}}}", LINES: "${{{{ app.LINES }}}}"}}
        run: echo "$(cat file) $WHAT $(echo "$LINES" | wc -l | tr -d ' ')"
"""


@pytest.mark.parametrize("where", ["local", "docker"])
def test_a_buildspec(made, request, where):
    """A build that succeeds gives its artifact and its variables on; one that fails goes to its end all the same."""
    runner = "runner: local" if where == "local" else f'image: "{request.getfixturevalue("busybox")}"'
    spec = BUILDSPEC.format(shell="bash" if where == "local" else "sh")
    said = []
    for files in ({".pipeline/app.yaml": BUILT.format(runner=runner), "buildspec.yml": spec}, {"broken": ""}):
        made.commit(files)
        made.queued("HEAD:refs/heads/main")
        assert made.work() == 0, made.log
        said.append((made.note("pipeline-log", made.head) or b"").decode().splitlines())
    assert [row.status for row in made.rows] == ["Succeeded", "Failed"]
    assert {"finally x", "post 1 x branch/main", "built built-x 2"} <= set(said[0])
    assert {"finally x", "post 0 x branch/main"} <= set(said[1])
    (record,) = made.records(made.head)
    assert record["stages"][0]["actions"][0]["exit_code"] == 7


# --- several executions ---------------------------------------------------------------------------------------------------


def started(repo: Working, *stages: str, head: str = "") -> None:
    """Push a pipeline that starts by the push."""
    repo.commit_release(*stages, head=head)


def pushed(repo: Working, count: int) -> None:
    for number in range(count):
        repo.commit({"number": str(number)})
        repo.detached()


def begun(repo: Working, mode: str) -> None:
    """Three executions: the first is in its stage, the others come while it is there."""
    repo.commit({".pipeline/release.yaml": f"mode: {mode}\nstages:\n{repo.stage('build')}{repo.stage('test')}"})
    repo.detached()
    repo.wait_until_runs("build")
    pushed(repo, 2)


def test_superseded(repo):
    begun(repo, "superseded")
    repo.wait_for("Superseded", 2)
    repo.let("build")
    repo.let("test")
    repo.wait_for("Succeeded", 1)
    repo.wait_for("Succeeded", 3)
    assert repo.ran("build") == ["1 1", "3 1"]


def test_queued(repo):
    begun(repo, "queued")
    repo.let("build")
    repo.let("test")
    repo.wait_for("Succeeded", 3)
    assert repo.ran("build") == repo.ran("test") == ["1 1", "2 1", "3 1"]


def test_parallel(repo):
    begun(repo, "parallel")
    repo.wait_until_runs("build", 3)
    repo.let("build")
    repo.let("test")
    for number in (1, 2, 3):
        repo.wait_for("Succeeded", number)
    assert sorted(repo.ran("test")) == ["1 1", "2 1", "3 1"]


def test_a_lock_holds_across_pipelines(repo):
    first = f"stages:\n{repo.stage('one', more='lock: door')}"
    second = f"stages:\n{repo.stage('two', more='lock: door')}"
    repo.commit({".pipeline/release.yaml": first})
    repo.detached()
    repo.wait_until_runs("one")
    repo.commit({".pipeline/release.yaml": None, ".pipeline/other.yaml": second})
    repo.detached()
    repo.wait(lambda: repo.row(1, "other").status == "InProgress", "the other has started")
    assert repo.ran("two") == []
    repo.let("one")
    repo.wait_until_runs("two")
    assert repo.row(1).status == "Succeeded"
    repo.let("two")
    repo.wait(lambda: repo.row(1, "other").status == "Succeeded", "the other has ended")


def test_an_automatic_rollback(repo):
    """The stage runs once more as the last success ran it."""
    repo.hurry()
    stage = repo.stage("production", repo.action("go"), more="on_failure: {rollback: true}")
    repo.let("go")
    repo.commit({".pipeline/release.yaml": f"stages:\n{stage}"})
    repo.detached()
    repo.wait_for("Succeeded", 1)
    good = repo.row(1).commit
    repo.let("go", 1)
    pushed(repo, 1)
    repo.wait_for("Failed", 2)
    repo.wait(lambda: len(repo.executions) == 3, "a rollback is queued")
    assert repo.row(3).commit == good
    repo.wait_for("Failed", 3)
    repo.wait(lambda: not repo.workers, "the worker has left")
    assert len(repo.executions) == 3  # never of a rollback


def test_conditions(made):
    """A variable that does not hold skips, a script that fails fails, and a window that is open lets pass."""
    rules = {
        "skipped": "result: skip, variable: {variable: '${{ variables.who }}', value: nobody}",
        "open": "window: {cron: '* * * * *'}",
        "scripted": f"command: {{runner: local, run: 'echo asked >> {made.lines}; exit 3'}}",
    }
    stages = "".join(
        f"  - name: {name}\n    conditions: {{before_entry: {{{rule}}}}}\n"
        f"    actions: [{{name: go, runner: local, run: 'echo {name} >> {made.lines}'}}]\n"
        for name, rule in rules.items()
    )
    made.commit({".pipeline/release.yaml": f"variables:\n  who: {{default: somebody}}\nstages:\n{stages}"})
    made.queued()
    assert made.work() == 0, made.log
    (record,) = made.records(made.head)
    assert [(one["name"], one["status"]) for one in record["stages"]] == [
        ("skipped", "Skipped"),
        ("open", "Succeeded"),
        ("scripted", "Failed"),
    ]
    assert system.told(made.lines) == {"open": 1, "asked": 1}
    assert list(system.leftovers(made)) == []


def test_what_was_only_prepared_is_removed(made, busybox):
    """The action after the one that fails was started ahead, and never runs."""
    made.share = True
    text = f'defaults: {{image: "{busybox}"}}\nstages:\n  - name: only\n    actions:\n'
    text += "      - {name: first, run: sleep 1; exit 1}\n      - {name: second, needs: [first], run: echo never}\n"
    made.commit({".pipeline/release.yaml": text})
    made.queued()
    assert made.work() == 0, made.log
    assert [row.status for row in made.rows] == ["Failed"]
    assert b"never" not in (made.note("pipeline-log", made.head) or b"")
    assert list(system.leftovers(made)) == []


def test_notes_from_a_fresh_clone(made, tmp_path):
    """Nothing but git is needed to read what happened."""
    example(made, "runner: local")
    commit = made.commit()
    made.push("HEAD:refs/heads/main")
    made.until(lambda: [one["status"] for one in made.records(commit)] == ["Succeeded"], "it is over")
    fresh = Path(tmp_path / "fresh")
    subprocess.run(["git", "clone", "-q", "-b", "main", made.bare, fresh], check=True, env=made.environment)
    made.git("fetch", "-q", "origin", "refs/notes/*:refs/notes/*", at=fresh)
    assert "site #1" in made.git("log", "-1", "--notes=pipeline", at=fresh)
