"""Running git: environment, big streams, faults, another owner."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.errors import EnvironmentFault
from agent.git.command import Child, Git, TooLong, clean_environment, git_dir_of
from tests.support.processes import children
from tests.support.repo import Repo


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path)


def test_lesson_1_11_nothing_of_git_reaches_a_child():
    environ = {"PATH": "/bin", "HOME": "/h", "LANG": "C", "GIT_DIR": ".", "GIT_OBJECT_DIRECTORY": "/o", "GIT_CONFIG_COUNT": "1"}
    assert clean_environment(environ) == {"PATH": "/bin", "HOME": "/h", "LANG": "C"}


def test_the_quarantine_is_kept_and_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    environ = {"GIT_DIR": ".", "GIT_OBJECT_DIRECTORY": "./objects/in", "GIT_ALTERNATE_OBJECT_DIRECTORIES": "./objects:/other"}
    clean = clean_environment(environ, quarantine=True)
    assert clean["GIT_OBJECT_DIRECTORY"] == f"{tmp_path}/objects/in"
    assert clean["GIT_ALTERNATE_OBJECT_DIRECTORIES"] == f"{tmp_path}/objects:/other"
    assert "GIT_DIR" not in clean
    assert clean["PATH"]


def test_the_directory_of_a_hook_is_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert git_dir_of({"GIT_DIR": "."}) == str(tmp_path)
    assert git_dir_of({}) == str(tmp_path)


def test_big_streams_in_both_directions_do_not_block(repo):
    lines = b"".join(b"%040d\n" % number for number in range(200_000))
    out = repo.server.run("cat-file", "--batch-check", stdin=lines)
    assert out.count(b" missing\n") == 200_000


def test_input_that_nobody_reads_is_no_fault(repo):
    assert repo.server.run("version", stdin=b"x" * (1 << 22)).startswith(b"git version")


def test_a_failure_carries_the_words_of_git(repo):
    with pytest.raises(EnvironmentFault, match=r"git rev-parse failed in .*repo\.git: fatal: Needed a single revision"):
        repo.server.run("rev-parse", "--verify", "nowhere^{commit}", "--")


def test_exit_code_and_both_outputs(repo):
    code, out, err = repo.server.call("rev-parse", "nowhere")
    assert code == 128
    assert out == b"nowhere\n"
    assert b"unknown revision" in err


def test_a_missing_git_is_told(tmp_path):
    with pytest.raises(EnvironmentFault, match="git is not on the PATH"):
        Git(tmp_path, {"PATH": str(tmp_path)})


def test_a_missing_repository_is_told(tmp_path):
    with pytest.raises(EnvironmentFault, match="not a git repository"):
        Git(tmp_path / "none", clean_environment(os.environ)).run("rev-parse", "HEAD")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a repository away")
def test_lesson_1_13_a_repository_of_somebody_else_is_readable(repo):
    commit = repo.commit_and_push({"a": "1"})
    for directory, _, files in os.walk(repo.bare):
        for path in (directory, *(f"{directory}/{name}" for name in files)):
            os.chown(path, 65534, 65534)
    assert b"dubious ownership" in repo.run("rev-parse", "HEAD", at=repo.bare, check=False).stderr
    assert repo.server.run("rev-parse", "HEAD").decode().strip() == commit
    assert repo.server.run("ls-tree", "--name-only", commit) == b"a\n"


def test_a_replaced_object_is_read_as_it_was_pushed(repo):
    first = repo.commit({"a": "1"})
    second = repo.commit({"a": "2"})
    repo.git("replace", first, second)
    repo.push("main", "refs/replace/*:refs/replace/*")
    assert repo.git("show", f"{first}:a", at=repo.bare) == "2"
    assert repo.server.run("show", f"{first}:a") == b"1"


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_many_threads_and_no_descriptor_left(repo):
    before = open_descriptors()
    with ThreadPoolExecutor(8) as pool:
        outs = list(pool.map(lambda number: repo.server.run("hash-object", "--stdin", stdin=b"%d" % number), range(64)))
    assert len(set(outs)) == 64
    assert open_descriptors() == before


def test_what_was_begun_runs_beside_us_and_loses_nothing(repo):
    lines = b"".join(b"%040d\n" % number for number in range(100_000))
    begun = [repo.server.start("cat-file", "--batch-check", stdin=lines), repo.server.start("hash-object", "--stdin", stdin=b"")]
    assert begun[1].result() == (0, b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n", b"")
    code, out, _ = begun[0].result()
    assert (code, out.count(b" missing\n")) == (0, 100_000)


def test_what_nobody_waits_for_is_ended(repo):
    before, former = open_descriptors(), children()
    child = Child(["/bin/sh", "-c", "exec sleep 1000"], repo.environment)
    [process] = children() - former
    child.close()
    child.close()
    assert process not in children()
    assert open_descriptors() == before


def test_more_than_is_wanted_is_not_read_to_the_end(repo):
    before, former = open_descriptors(), children()
    with pytest.raises(TooLong):
        Child(["/bin/sh", "-c", "while :; do echo yes; done"], repo.environment).result(most=1 << 20)
    assert children() == former
    assert open_descriptors() == before
    assert Child(["/bin/sh", "-c", "echo yes"], repo.environment).result(most=4) == (0, b"yes\n", b"")


def test_the_hot_path_stays_light():
    modules = "agent.git.command, agent.git.receive, agent.git.tree, agent.git.history, agent.git.refs"
    heavy = "{'subprocess', 'dataclasses', 'logging', 'argparse', 'pathlib', 'msgspec', 'yaml', 'dulwich', 'inspect'}"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    python = "/proc/self/exe"
    done = subprocess.run([os.readlink(python), "-S", "-c", code], capture_output=True, text=True, check=True)  # noqa: PTH115
    assert done.stdout == "[]\n"
