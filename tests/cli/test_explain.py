"""`git pipeline explain` in a real clone: the push is compared with what the remote has."""

import pytest

from agent.cli.main import run
from tests.support.repo import Repo

STAGES = 'stages: [{name: s, actions: [{name: a, run: "true", image: alpine}]}]\n'
PIPELINES = {
    ".pipeline/docs.yaml": "triggers: [{push: {paths: ['docs/**']}}]\n" + STAGES,
    ".pipeline/every.yaml": STAGES,
    ".pipeline/nightly.yaml": "triggers: [{schedule: {cron: '0 3 * * *', timezone: Europe/Berlin}}]\n" + STAGES,
    ".pipeline/release.yaml": "triggers: [{push: {branches: [main], paths: ['src/**']}}, {push: {tags: ['v*']}}]\n" + STAGES,
}


@pytest.fixture
def repo(tmp_path, monkeypatch):
    made = Repo(tmp_path)
    made.commit(PIPELINES, "pipelines")
    made.git("push", "-q", "origin", "main")
    monkeypatch.chdir(made.clone)
    return made


@pytest.fixture
def explain(repo, capfd):
    def call(*args):
        code = run(["explain", *args])
        out, err = capfd.readouterr()
        assert code == 0, err
        return out.splitlines()

    return call


def rows(lines):
    """Verdict and reasons by pipeline."""
    found, name = {}, ""
    for line in lines[2:]:
        first, *rest = line.split("  ")
        name = first or name
        found.setdefault(name, []).extend(cell.strip() for cell in rest if cell.strip())
    return found


def test_each_pipeline_tells_why(repo, explain):
    old = repo.head
    repo.commit({"src/a.py": "1", "docs/x/a.md": "1"}, "work")
    found = explain()
    assert found[0] == f"push of {repo.head[:12]} (work) to main, compared with origin/main ({old[:12]})"
    told = rows(found)
    assert told["docs"] == ["starts", "branch main, docs/x/a.md changed"]
    assert told["every"] == ["starts", "branch main"]
    assert told["nightly"][:2] == ["does not start", "it has no push trigger, only a schedule"]
    assert told["nightly"][2].startswith("by the clock: 0 3 * * * Europe/Berlin on main, next 2")
    assert told["release"] == ["starts", "push trigger 1: branch main, src/a.py changed"]


def test_every_commit_of_the_push_counts(repo, explain):
    repo.commit({"src/a.py": "1"}, "first")
    repo.commit({"README": "1"}, "second")
    assert rows(explain())["release"][0] == "starts"
    assert rows(explain("--against", "HEAD~1"))["release"] == [
        "does not start",
        "push trigger 1: the one changed file, README, matches none of src/**",
        "push trigger 2: it waits for tags, this is the branch main",
    ]


def test_a_tag(explain, repo):
    found = explain("--tag", "v1")
    assert found[0].endswith("to tag v1, which is not compared with anything")
    assert rows(found)["release"] == ["starts", "push trigger 2: tag v1"]
    assert rows(found)["every"] == ["does not start", "it waits for branches, this is the tag v1"]


def test_a_new_branch_begins_where_it_left_the_remote(repo, explain):
    left = repo.head
    repo.branch("feature")
    repo.commit({"docs/a": "1"}, "one")
    repo.commit({"docs/b": "1"}, "two")
    found = explain()
    assert found[0] == f"push of {repo.head[:12]} (two) to feature, a new branch that begins at {left[:12]}"
    assert rows(found)["docs"] == ["starts", "branch feature, docs/a changed"]
    assert rows(found)["release"][1] == "push trigger 1: branch feature matches none of main"


def test_a_branch_with_a_history_of_its_own_changes_everything(repo, explain):
    repo.orphan("other")
    repo.commit({**PIPELINES, "docs/a": "1"}, "root")
    found = explain()
    assert found[0].endswith("a new branch with a history of its own")
    assert rows(found)["docs"][0] == "starts"


def test_what_was_pushed_already_is_shown_as_its_own_push(repo, explain):
    repo.commit({"docs/a": "1"}, "work")
    repo.git("push", "-q", "origin", "main")
    found = explain()
    assert "which origin/main is at already" in found[0]
    assert rows(found)["docs"] == ["starts", "branch main, docs/a changed"]


def test_a_message_that_skips(repo, explain):
    repo.commit({"docs/a": "1"}, "typo [skip ci]")
    assert rows(explain())["every"] == ["does not start", "the commit message says [skip ci]"]


def test_a_required_variable_is_told_before_the_push(repo, explain):
    repo.commit({".pipeline/ask.yaml": "variables: {version: {description: what to release}}\n" + STAGES}, "ask")
    assert rows(explain())["ask"] == [
        "needs a value",
        "branch main",
        "ask needs a value for variable version (what to release): git push -o pipeline.var.version=…",
    ]


def test_a_commit_without_pipelines(repo, explain):
    repo.orphan("empty")
    repo.commit({"a": "1"}, "nothing")
    assert explain()[1] == "the commit has no pipelines: there are no files .pipeline/*.yaml"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nowhere"], 2, "nowhere is no commit here"),
        (["--tag", "v1", "--against", "HEAD"], 2, "a tag is neither of a branch nor compared"),
        (["--branch", "main", "broken"], 1, "the push would be refused:\n.pipeline/bad.yaml"),
    ],
)
def test_what_cannot_be_explained(repo, capfd, args, code, said):
    repo.branch("broken")
    repo.commit({".pipeline/bad.yaml": "stages: 1\n"}, "broken")
    assert run(["explain", *args]) == code
    assert said in capfd.readouterr().err


def test_away_from_any_branch(repo, capfd):
    repo.git("checkout", "-q", "--detach")
    assert run(["explain"]) == 2
    assert "--branch NAME" in capfd.readouterr().err


def test_on_the_server(repo, monkeypatch, capfd):
    repo.commit({"docs/a": "1"}, "work")
    repo.git("push", "-q", "origin", "main")
    monkeypatch.chdir(repo.bare)
    assert run(["explain"]) == 0
    assert "which main is at already" in capfd.readouterr().out
