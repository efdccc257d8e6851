"""The operator's verbs in an ordinary clone: signed tags, with real keys and a real worker."""

import subprocess

import pytest


@pytest.fixture
def repo(in_clone):
    return in_clone


def published(repo, words, commit=""):
    """The worker writes notes beside its work."""

    def is_there() -> bool:
        note = repo.note("refs/notes/pipeline", commit or repo.head)
        return note is not None and words in note.decode()

    repo.wait(is_there, f"a note with {words}")


def tag(repo, name):
    return repo.git("cat-file", "tag", f"refs/tags/{name}", at=repo.bare).split("-----BEGIN")[0].partition("\n\n")[2]


def test_stop(repo, call):
    repo.let("deploy")
    repo.commit({".pipeline/release.yaml": f"stages:\n{repo.stage('build')}{repo.stage('deploy')}"})
    repo.detached()
    repo.wait_until_runs("build")
    published(repo, "In progress")
    code, out, err = call("stop", "1", "--abandon", "-m", "wrong branch")
    assert code == 0, err
    identity = repo.row().id
    assert out.splitlines() == [
        f"stop/release/1/alice at {repo.head[:12]}",
        "  wrong branch",
        "  Abandon: true",
        f"  Execution: {identity}",
    ]
    assert "asked to stop: release #1; signed by alice" in err
    repo.wait_for("Stopped")
    assert tag(repo, "stop/release/1/alice") == f"wrong branch\n\nAbandon: true\nExecution: {identity}\n"


def test_retry(repo, call):
    repo.let("build", 1)
    repo.released(repo.stage("build"))
    published(repo, "Failed")
    repo.let("build")
    code, out, err = call("retry", "release#1", "--mode", "all")
    assert code == 0, err
    assert "retry/release/1/build/alice at" in out
    assert "release #1  succeeded" in err
    assert repo.ran("build") == ["1 1", "1 2"]
    assert "Mode: all" in tag(repo, "retry/release/1/build/alice")


def test_rollback(repo, call):
    repo.let("build")
    repo.released(repo.stage("build"))
    first = repo.head
    published(repo, "Succeeded")
    repo.commit_and_push({"a": "1"})
    published(repo, "Succeeded")
    code, _, err = call("rollback", "1", "build")
    assert code == 0, err
    repo.wait_for("Succeeded", 3)
    assert repo.row(3).commit == first


def test_disable_and_enable(repo, call):
    repo.let("build")
    repo.let("deploy")
    repo.released(repo.stage("build"), repo.stage("deploy"))
    published(repo, "Succeeded")
    code, out, err = call("disable", "release", "deploy", "-m", "freeze")
    assert code == 0, err
    assert out.splitlines() == [f"disable/release/deploy/alice at {repo.head[:12]}", "  freeze"]
    repo.commit_and_push({"a": "1"})
    assert repo.row(2).status == "InProgress"
    code, out, err = call("enable", "release", "deploy")
    assert code == 0, err
    repo.wait_for("Succeeded", 2)
    code, _, err = call("enable", "release", "deploy")
    assert code == 1
    assert "is open" in err
    assert "removed from this clone again" in err


def test_names_that_are_not_there(repo, call):
    repo.let("build")
    repo.released(repo.stage("build"))
    published(repo, "Succeeded")
    code, _, err = call("disable", "relase", "build")
    assert (code, err) == (2, "git pipeline: there is no pipeline relase\nhint: did you mean 'release'?\n")
    code, _, err = call("disable", "release", "biuld")
    assert (code, err) == (2, "git pipeline: pipeline release has no stage biuld\nhint: did you mean 'build'?\n")


def test_override(repo, call):
    repo.let("build")
    closed = 'conditions: {before_entry: {variable: {variable: "${{ variables.go }}", value: "yes"}}}'
    repo.commit({".pipeline/release.yaml": f'variables: {{go: "no"}}\nstages:\n{repo.stage("build", more=closed)}'})
    repo.push()
    published(repo, "Failed")
    code, _, err = call("override", "1", "-m", "known")
    assert code == 0, err
    repo.wait_for("Succeeded")


def test_start(repo, call):
    repo.let("build")
    variables = "triggers: []\nvariables: {where: {choices: [earth, mars]}}\n"
    repo.commit_release(repo.stage("build"), head=variables)
    code, _, err = call("start", "release")
    assert (code, err) == (2, "git pipeline: release needs a value for variable where\nhint: --var where=earth|mars\n")
    code, out, err = call("start", "release", "--var", "where=mars", "-m", "a trial")
    assert code == 0, err
    assert out.splitlines() == [f"start/release/alice at {repo.head[:12]}", "  a trial", "  Var: where=mars"]
    assert "release #1  succeeded" in err
    assert tag(repo, "start/release/alice") == "a trial\n\nVar: where=mars\n"
    code, _, err = call("start", "release", "--ref", "mian", "--var", "where=mars")
    assert (code, "there is no branch or tag mian on origin" in err) == (2, True)


def test_start_only_what_the_server_has(repo, call):
    first = repo.commit_release(repo.stage("build"))
    repo.git("fetch", "-q")
    mine = repo.commit({"a": "1"})
    code, _, err = call("start", "release", "--commit", mine)
    assert (code, "push a branch with it first" in err) == (2, True)
    code, out, _ = call("start", "release", "--commit", first, "--detach")
    assert (code, first[:12] in out) == (0, True)
    repo.wait_until_runs("build")
    assert repo.row().commit == first


def test_a_dry_run_prints_what_a_shell_can_run(repo, call):
    repo.let("build")
    repo.commit_release(repo.stage("build"))
    code, out, _ = call("start", "release", "--dry-run", "-m", "it's time", "--detach")
    assert (code, repo.git("for-each-ref", "refs/tags")) == (0, "")
    assert "git push -o pipeline.detach origin refs/tags/start/release/alice" in out
    done = subprocess.run(["/bin/sh", "-c", out], capture_output=True, env=repo.environment, cwd=repo.clone)
    assert done.returncode == 0, done.stderr
    repo.wait(lambda: repo.executions, "the start is taken in")
    repo.wait_for("Succeeded")


def test_options_that_are_for_the_other_place(repo, call):
    repo.let("build")
    repo.released(repo.stage("build"))
    published(repo, "Succeeded")
    code, _, err = call("stop", "1", "--as", "bob")
    assert (code, "in a clone the key tells who asks" in err) == (2, True)
    code, _, err = call("stop", "1", "--dry-run", "--repo", repo.bare)
    assert (code, "--dry-run are for a clone" in err) == (2, True)
