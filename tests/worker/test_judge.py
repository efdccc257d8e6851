"""Verdicts: read once, kept under the tree, read anew by other code."""

import pytest

from agent.model.push import RefUpdate
from agent.model.trigger import Entry, Patterns, PushTrigger, ScheduleTrigger, Variable
from agent.state.database import open_database
from agent.state.verdicts import Verdict
from agent.worker import judge as module
from agent.worker.judge import entries, judge, verdict
from tests.support.installed import BAD, GOOD
from tests.support.repo import Repo

FULL = (
    "triggers:\n"
    "  - push: {branches: {include: [main], exclude: [x]}, paths: ['src/**']}\n"
    "  - schedule: {cron: '0 3 * * *', timezone: Europe/Berlin, branch: main}\n"
    "mode: queued\n"
    "variables: {where: {default: a, description: b, choices: [a, c]}}\n"
) + GOOD


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


@pytest.fixture
def database(tmp_path):
    return open_database(str(tmp_path / "state.db"))


def update(repo, ref="refs/heads/main"):
    return RefUpdate("0" * 40, repo.head, ref)


def test_entries_survive_the_cache(repo, database):
    repo.commit_and_push({".pipeline/release.yaml": FULL})
    tree = repo.git("rev-parse", "HEAD:.pipeline")
    pushes = (PushTrigger(branches=Patterns(("main",), ("x",)), paths=Patterns(("src/**",))),)
    schedules = (ScheduleTrigger("0 3 * * *", "Europe/Berlin", "main"),)
    wanted = (Entry("release", "queued", pushes, schedules, (Variable("where", "a", "b", ("a", "c")),)),)
    assert entries(verdict(repo.server, None, tree, repo.head)) == wanted
    assert entries(verdict(repo.server, database, tree, repo.head)) == wanted
    assert entries(verdict(repo.server, database, tree, repo.head)) == wanted


@pytest.mark.parametrize("text", [GOOD, BAD])
def test_a_tree_is_read_once(repo, database, text):
    repo.commit_and_push({".pipeline/release.yaml": text})
    first = judge(repo.server, database, [update(repo)])
    tree = repo.git("rev-parse", "HEAD:.pipeline")
    database.write("UPDATE verdicts SET ok = 0, body = 'from the cache'")
    assert "from the cache" in judge(repo.server, database, [update(repo)])
    database.write("UPDATE verdicts SET key = ?", (f"{tree}:other",))
    assert judge(repo.server, database, [update(repo)]) == first


def test_each_broken_tree_is_told_with_its_branches(repo, database):
    repo.commit_and_push({".pipeline/release.yaml": BAD})
    one = update(repo)
    repo.commit_and_push({".pipeline/other.yaml": BAD})
    updates = [one, one._replace(ref="refs/heads/same"), update(repo, "refs/heads/two"), update(repo, "refs/changes/3")]
    said = judge(repo.server, database, updates)
    assert "of main, same are wrong" in said
    assert "of two are wrong" in said
    assert said.count("release.yaml:5:9") == 2
    assert said.count("other.yaml:5:9") == 1


WITH_BUILDSPEC = "stages: [{name: s, actions: [{name: a, image: x, buildspec: true}]}]\n"
SPEC = "version: 0.2\nphases: {build: {commands: [make]}}\n"


@pytest.mark.parametrize("cached", [True, False])
def test_a_buildspec_is_judged_with_each_commit(repo, database, cached):
    """The `.pipeline/` tree stays as it is, what lies outside of it changes."""
    known = database if cached else None
    repo.commit_and_push({".pipeline/release.yaml": WITH_BUILDSPEC})
    first = update(repo)
    assert "GP905 there is no buildspec.yml" in judge(repo.server, known, [first])
    repo.commit_and_push({"buildspec.yml": SPEC})
    second = update(repo, "refs/heads/good")
    assert judge(repo.server, known, [second]) == ""
    repo.commit_and_push({"buildspec.yml": SPEC.replace("0.2", "2")})
    third = update(repo, "refs/heads/bad")
    said = judge(repo.server, known, [first, second, third])
    assert "of main are wrong" in said
    assert "of bad are wrong" in said
    assert "buildspec.yml:1:10: GP104" in said
    assert "good" not in said


@pytest.mark.parametrize("path", [":(glob)x", ":/x", "-x", "*", "a b", "x/y"])
def test_odd_paths_are_paths(repo, database, path):
    repo.commit_and_push({".pipeline/release.yaml": WITH_BUILDSPEC.replace("true", f"'{path}'"), "other": SPEC})
    assert "GP905 there is no" in judge(repo.server, database, [update(repo)])
    repo.commit_and_push({path: SPEC})
    assert judge(repo.server, database, [update(repo)]) == ""


def test_a_buildspec_that_was_judged_is_not_read_again(repo, database):
    repo.commit_and_push({".pipeline/release.yaml": WITH_BUILDSPEC, "buildspec.yml": SPEC})
    tree = repo.git("rev-parse", "HEAD:.pipeline")
    found = verdict(repo.server, database, tree, repo.head)
    assert [entry.pipeline for entry in entries(found)] == ["release"]
    database.write("UPDATE verdicts SET body = '[]'")
    repo.commit_and_push({"other": "1"})
    assert entries(verdict(repo.server, database, tree, repo.head)) == ()
    repo.commit_and_push({"buildspec.yml": SPEC + "# new\n"})
    assert entries(verdict(repo.server, database, tree, repo.head)) == entries(found)


def test_the_version_follows_the_code():
    assert module.version() == module.version() != ""


def test_a_broken_tree_starts_nothing():
    assert entries(Verdict(False, "words")) == ()


DEPLOY = "stages:\n  - name: production\n    actions:\n      - {name: web, deploy: {to: web, appspec: appspec.yml}}\n"


def test_a_commit_without_its_appspec_is_refused_and_so_is_a_wrong_one(repo, database):
    repo.commit_and_push({".pipeline/release.yaml": DEPLOY})
    without = update(repo)
    said = judge(repo.server, database, [without])
    assert ".pipeline/release.yaml:4:48: GP807 the commit has no file appspec.yml" in said
    repo.commit_and_push({"appspec.yml": "version: 0.0\nos: linux\nhooks:\n  AfterInstal: []\n"})
    wrong = update(repo, "refs/heads/wrong")
    said = judge(repo.server, database, [without, wrong, wrong._replace(ref="refs/heads/too")])
    assert "of main are wrong" in said
    assert "of wrong, too are wrong:\nappspec.yml:4:3: GP850 unknown lifecycle event AfterInstal" in said
    repo.commit_and_push({"appspec.yml": "version: 0.0\nos: linux\n"})
    assert judge(repo.server, database, [update(repo)]) == ""
    assert judge(repo.server, None, [update(repo)]) == ""


def test_an_appspec_is_read_once(repo, database):
    repo.commit_and_push({".pipeline/release.yaml": DEPLOY, "appspec.yml": "version: 0.0\nos: linux\n"})
    assert judge(repo.server, database, [update(repo)]) == ""
    oid = repo.git("rev-parse", "HEAD:appspec.yml")
    database.write("UPDATE verdicts SET ok = 0, body = 'from the cache' WHERE key LIKE ?", (f"%{oid}%",))
    assert "from the cache" in judge(repo.server, database, [update(repo)])


def test_a_huge_appspec_is_not_read(repo, database):
    repo.commit_and_push({".pipeline/release.yaml": DEPLOY, "appspec.yml": "#" * (1 << 21)})
    assert "appspec.yml: GP004 the file has 2,097,152 bytes" in judge(repo.server, database, [update(repo)])
