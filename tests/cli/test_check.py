"""`git pipeline check` in a real clone: the working tree, a commit, and the same words as the server's."""

import json

import pytest

from agent.cli.main import run
from agent.definition.load import load
from agent.git.tree import CommitTree
from tests.support.repo import Repo

SOUND = "stages:\n  - {name: build, actions: [{name: a, image: alpine, run: make}]}\n"
BROKEN = SOUND.replace("image", "imgae") + "mode: serial\n"
REPORT = """\
.pipeline/release.yaml:2:39: GP101 an action has no key 'imgae'
    2 |   - {name: build, actions: [{name: a, imgae: alpine, run: make}]}
      |                                       ^~~~~
   hint: did you mean 'image'?
.pipeline/release.yaml:3:7: GP104 mode: 'serial' is none of superseded, queued, parallel
    3 | mode: serial
      |       ^~~~~~
"""


@pytest.fixture
def repo(tmp_path, monkeypatch):
    made = Repo(tmp_path)
    made.commit({".pipeline/release.yaml": SOUND})
    monkeypatch.chdir(made.clone)
    return made


@pytest.fixture
def check(capfd):
    def call(*args):
        code = run(["check", *args])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_all_is_well(repo, check):
    assert check() == (0, "1 pipeline without a mistake: release\n", "")


def test_the_working_tree_is_judged_and_not_the_commit(repo, check, monkeypatch):
    repo.write({".pipeline/release.yaml": BROKEN, "sub/file": ""})
    assert check() == (1, f"{REPORT}\n2 mistakes in 1 file\n", "")
    assert check("HEAD") == (0, "1 pipeline without a mistake: release\n", "")
    monkeypatch.chdir(repo.clone / "sub")
    assert check()[0] == 1


def test_a_commit_in_the_words_of_the_server(repo, check):
    commit = repo.commit({".pipeline/release.yaml": BROKEN})
    repo.push("HEAD:refs/heads/main")
    loaded = load(CommitTree(repo.server, commit))
    assert loaded.report + "\n" == REPORT
    for revision in (commit[:10], "HEAD", "HEAD~0"):
        assert check(revision) == (1, f"{REPORT}\n2 mistakes in 1 file\n", "")


def test_a_link_in_place_of_a_file(repo, check):
    (repo.clone / ".pipeline/other.yaml").symlink_to("release.yaml")
    expected = (
        ".pipeline/other.yaml: GP001 this is a symbolic link; only regular files are read\n   hint: put the file itself there\n"
    )
    assert check() == (1, f"{expected}\n1 mistake in 1 file\n", "")
    repo.commit()
    assert check("HEAD") == (1, f"{expected}\n1 mistake in 1 file\n", "")


def test_json(repo, check):
    repo.write({".pipeline/release.yaml": BROKEN})
    code, out, _ = check("--format", "json")
    assert code == 1
    assert [(one["code"], one["line"], one["column"]) for one in json.loads(out)] == [("GP101", 2, 39), ("GP104", 3, 7)]
    code, out, _ = check("HEAD", "--format", "json")
    assert (code, json.loads(out)) == (0, [])


def test_github(repo, check):
    repo.write({".pipeline/release.yaml": BROKEN})
    code, out, _ = check("--format", "github")
    assert code == 1
    assert out.splitlines()[1] == (
        "::error file=.pipeline/release.yaml,line=3,col=7,title=GP104::"
        "GP104 mode: 'serial' is none of superseded, queued, parallel"
    )
    assert check("HEAD", "--format", "github") == (0, "", "")


def test_no_pipelines(repo, check):
    repo.write({".pipeline/release.yaml": None})
    assert check() == (0, "the working tree has no pipelines\n", "")


def test_an_unknown_revision(repo, check):
    code, out, err = check("nowhere")
    assert (code, out) == (2, "")
    assert "nowhere is no commit here" in err


def test_a_bare_repository_needs_a_revision(repo, check, monkeypatch):
    repo.push("HEAD:refs/heads/main")
    monkeypatch.chdir(repo.bare)
    code, _, err = check()
    assert code == 2
    assert "git pipeline check main" in err
    assert check("main")[0] == 0


def test_outside_of_a_repository(check, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert check()[0] == 2


DEPLOY = "stages:\n  - name: production\n    actions:\n      - {name: web, deploy: {to: web, appspec: appspec.yml}}\n"


def test_the_appspec_of_a_deployment_is_judged_too(repo, check):
    repo.write({".pipeline/release.yaml": DEPLOY})
    code, out, _ = check()
    assert code == 1
    assert out.startswith(".pipeline/release.yaml:4:48: GP807 the commit has no file appspec.yml\n")
    repo.commit({"appspec.yml": "version: 0.0\nos: linux\nhooks:\n  AfterInstal: []\n"})
    code, out, _ = check("HEAD")
    assert out.startswith("appspec.yml:4:3: GP850 unknown lifecycle event AfterInstal\n    4 |   AfterInstal: []\n")
