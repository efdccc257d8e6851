"""What a push starts, with real pushes; and that it starts once, whatever is killed."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from agent.model.execution import Execution
from agent.worker import wake
from agent.worker.intake import PATIENCE
from tests.support.installed import GOOD
from tests.support.repo import Refused

RELEASE = {".pipeline/release.yaml": GOOD}


def later():
    return datetime.now(UTC) + PATIENCE + timedelta(seconds=1)


def killed_hook(repo):
    """Makes post-receive die as by kill -9, just after the refs moved."""
    hook = repo.bare / "hooks" / "post-receive"
    hook.write_text(hook.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nkill -9 $$\n"))


def test_a_push_is_queued_and_the_worker_woken(repo):
    first = repo.commit(RELEASE)
    said = repo.detached()
    assert "git-pipeline: release #1 queued" in said
    assert wake.drain(repo.wake)
    second = repo.commit({"a": "1"})
    repo.detached(env={"REMOTE_USER": "alice"})
    execution = msgspec.json.decode(repo.executions[1].body, type=Execution)
    assert (execution.label, execution.commit, execution.previous, execution.ref) == (
        "release #2",
        second,
        first,
        "refs/heads/main",
    )
    assert (execution.trigger, execution.actor) == ("push", "alice")
    with repo.intake() as intake:
        assert not intake.has_open()


def test_nothing_to_start_is_silent_and_leaves_nothing(repo):
    repo.commit({"a": "1"})
    assert "remote:" not in repo.push()
    assert not wake.drain(repo.wake)
    assert not list(repo.directory.glob("quiet.*"))


def test_what_does_not_match_is_silent(repo):
    repo.commit({".pipeline/release.yaml": "triggers: [{push: {branches: [other]}}]\n" + GOOD})
    assert "remote:" not in repo.push()
    assert repo.executions == ()
    with repo.intake() as intake:
        assert not intake.has_open()


def test_skip_says_so_in_one_line(repo):
    repo.commit({**RELEASE, ".pipeline/docs.yaml": GOOD})
    said = repo.push(options=("pipeline.skip",))
    assert said.count("remote:") == 1
    assert "asks to skip" in said
    assert repo.executions == ()


def test_a_message_that_asks_to_skip_says_so(repo):
    repo.commit(RELEASE, message="typo [skip ci]")
    assert "release is not started: the commit message says [skip ci]" in repo.push()


def test_a_deleted_branch_starts_nothing(repo):
    repo.commit(RELEASE)
    repo.detached("HEAD:refs/heads/side")
    assert "remote:" not in repo.push(":refs/heads/side")
    assert repo.labels == ["release #1"]


def test_several_pipelines_and_refs(repo):
    tags = "triggers: [{push: {tags: ['v*']}}]\n" + GOOD
    repo.commit({**RELEASE, ".pipeline/docs.yaml": GOOD, ".pipeline/tag.yaml": tags})
    repo.tag("v1", message="one")
    repo.detached("HEAD:refs/heads/main", "HEAD:refs/heads/side", "refs/tags/v1")
    found = {(row.pipeline, row.ref) for row in repo.executions}
    heads = {(name, f"refs/heads/{branch}") for name in ("release", "docs") for branch in ("main", "side")}
    assert found == heads | {("tag", "refs/tags/v1")}
    tagged = next(row for row in repo.executions if row.pipeline == "tag")
    assert tagged.commit == repo.head
    assert msgspec.json.decode(tagged.body, type=Execution).trigger == "tag"


def test_a_new_branch_is_compared_with_what_it_started_from(repo):
    paths = "triggers: [{push: {paths: ['src/**']}}]\n" + GOOD
    repo.commit({".pipeline/release.yaml": paths, "src/a": "1"})
    repo.detached()
    repo.branch("docs")
    start = repo.commit({"README": "1"})
    assert "remote:" not in repo.detached()
    repo.branch("code")
    repo.commit({"src/a": "2"})
    assert "release #2 queued" in repo.detached()
    assert msgspec.json.decode(repo.executions[1].body, type=Execution).previous == start


def test_variables(repo):
    where = "variables:\n  where: {default: earth, choices: [earth, mars]}\n" + GOOD
    needy = "variables:\n  what: {description: name it}\n" + GOOD
    repo.commit({".pipeline/release.yaml": where, ".pipeline/needy.yaml": needy})
    said = repo.detached()
    assert "needy is not started: needy needs a value for variable what (name it)" in said
    repo.commit({"a": "1"})
    repo.detached(options=("pipeline.var.where=mars", "pipeline.var.what=it; rm -rf /"))
    by_name = {row.pipeline: msgspec.json.decode(row.body, type=Execution).variables for row in repo.executions}
    assert by_name == {"needy": {"what": "it; rm -rf /"}, "release": {"where": "mars"}}


@pytest.mark.parametrize("name", ["$(id)", "`id`", "a;b", "it's", "\u00fc", 'x"y', "-f"[1:] + "|g"])
def test_lesson_1_2_a_hostile_branch_name_is_only_a_name(repo, name):
    repo.commit(RELEASE)
    repo.detached(f"HEAD:refs/heads/{name}")
    assert [row.ref for row in repo.executions] == [f"refs/heads/{name}"]


def test_two_pushes_at_the_same_moment(repo, tmp_path):
    repo.commit(RELEASE)
    for index in range(8):
        repo.git("branch", f"b{index}")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: repo.detached(f"b{index}"), range(8)))
    assert sorted(row.ref for row in repo.executions) == [f"refs/heads/b{index}" for index in range(8)]
    assert sorted(row.number for row in repo.executions) == list(range(1, 9))


def test_of_two_equal_pushes_one_starts_something(repo):
    repo.commit(RELEASE)

    def push(_):
        try:
            return repo.detached("HEAD:refs/heads/main")
        except Refused as error:
            return str(error)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(push, range(6)))
    with repo.intake(later()) as intake:
        intake.settle()
        assert not intake.has_open()
    assert repo.labels == ["release #1"]


def test_a_killed_hook_forgets_nothing_and_doubles_nothing(repo):
    killed_hook(repo)
    repo.commit(RELEASE)
    repo.push()
    assert repo.executions == ()
    with repo.intake() as intake:
        assert intake.settle().started == ()  # the hook may still be on its way
        assert intake.has_open()
    with ThreadPoolExecutor(4) as pool:

        def settle(_):
            with repo.intake(later()) as intake:
                return intake.settle()

        admissions = list(pool.map(settle, range(4)))
    assert repo.labels == ["release #1"]
    assert {started.label for admission in admissions for started in admission.started} == {"release #1"}
    with repo.intake(later()) as intake:
        assert not intake.has_open()
        assert intake.settle().started == ()


def test_the_next_push_takes_in_what_a_killed_hook_left_and_first(repo):
    hook = repo.bare / "hooks" / "post-receive"
    sound = hook.read_text()
    killed_hook(repo)
    first = repo.commit(RELEASE)
    repo.push()
    repo.commit({".pipeline/release.yaml": None, "a": "1"})
    repo.push()  # without pipeline files, but something is open
    hook.write_text(sound)
    last = repo.commit(RELEASE)
    said = repo.detached()
    assert said.index("release #1 queued") < said.index("release #2 queued")
    assert [row.commit for row in repo.executions] == [first, last]


def test_a_push_that_git_refused_after_all_is_dropped(repo):
    repo.hook("update", "#!/bin/sh\n[ $1 != refs/heads/no ]\n")
    repo.commit(RELEASE)
    with pytest.raises(Refused):
        repo.push("HEAD:refs/heads/no")
    with repo.intake(later()) as intake:
        assert intake.settle().started == ()
        assert not intake.has_open()
    with pytest.raises(Refused):
        repo.detached("HEAD:refs/heads/no", "HEAD:refs/heads/yes")
    assert [row.ref for row in repo.executions] == ["refs/heads/yes"]


def test_a_removed_directory_goes_on_after_the_published_numbers(repo):
    first = repo.commit(RELEASE)
    repo.detached()
    record = '{"schema": 1, "pipeline": "release", "number": 41}\n{"schema": 1, "pipeline": "docs", "number": 3}\nnot json\n'
    repo.git("notes", "--ref=refs/notes/pipeline-record", "add", "-m", record, first, at=repo.bare)
    os.close(repo.wake)
    shutil.rmtree(repo.directory)
    repo.commit({"a": "1"})
    repo.directory.mkdir()
    repo.wake = wake.listen(str(repo.directory))
    assert "release #42 queued" in repo.detached()


def test_a_damaged_state_lets_the_push_through_and_resume_finds_it(repo):
    repo.commit({"a": "1"})
    repo.push()
    state = repo.directory / "state.db"
    sound = state.read_bytes()
    state.write_bytes(b"rubbish" * 1000)
    commit = repo.commit(RELEASE)
    said = repo.push()
    assert f"git pipeline resume {repo.bare}" in said
    assert "Traceback" not in said
    for path in repo.directory.glob("state.db*"):
        path.unlink()
    state.write_bytes(sound)
    with repo.intake() as intake:
        assert [started.label for started in intake.missed().started] == ["release #1"]
        assert intake.missed().started == ()
    assert repo.executions[0].commit == commit


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a small disk")
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_disk_in_trouble_lets_the_push_through(repo, trouble):
    os.close(repo.wake)
    moved = repo.root / "moved"
    shutil.copytree(repo.directory, moved, ignore=shutil.ignore_patterns("wake"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=700", "tmpfs", repo.directory], check=True)
    try:
        shutil.copytree(moved, repo.directory, dirs_exist_ok=True)
        if trouble == "full":
            _fill(repo.directory / "filler")
        else:
            subprocess.run(["mount", "-o", "remount,ro", repo.directory], check=True)
        repo.commit(RELEASE)
        said = repo.push()
        assert f"git pipeline resume {repo.bare}" in said
        assert "Traceback" not in said
        subprocess.run(["mount", "-o", "remount,rw", repo.directory], check=True)
        (repo.directory / "filler").unlink(missing_ok=True)
        repo.wake = wake.listen(str(repo.directory))
        with repo.intake() as intake:
            assert [started.label for started in intake.missed().started] == ["release #1"]
    finally:
        with suppress(OSError):
            os.close(repo.wake)
        subprocess.run(["umount", "-l", repo.directory], check=True)
        repo.wake = wake.listen(str(repo.directory))


def _fill(path):
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


@pytest.mark.parametrize("hook", ["pre-receive", "post-receive"])
@pytest.mark.parametrize("fault", ["no interpreter", "no package"])
def test_a_broken_installation_never_breaks_a_push(repo, hook, fault):
    path = repo.bare / "hooks" / hook
    broken = {
        "no interpreter": (f"python='{sys.executable}'", "python='/nonexistent/python'"),
        "no package": ("agent.hooks", "nothing.hooks"),
    }
    path.write_text(path.read_text().replace(*broken[fault]))
    repo.commit(RELEASE)
    said = repo.push(options=("pipeline.detach",))
    assert "agent doctor" in said
    assert "Traceback" not in said
    with pytest.raises(Refused, match="written by the agent alone"):
        repo.push("HEAD:refs/notes/pipeline")


FORMER = """\
#!/bin/sh
echo "former {name}"
{{ echo {name} $# $(pwd); cat; }} >> {seen}
grep -q refuse {seen} && exit 7
exit 0
"""


def test_former_hooks_run_with_the_same_input(repo, tmp_path):
    seen = tmp_path / "seen"
    for name in ("pre-receive", "post-receive"):
        repo.hook(name, FORMER.format(name=name, seen=seen))
    repo.install()
    commit = repo.commit(RELEASE)
    said = repo.detached()
    assert "former pre-receive" in said
    assert said.index("release #1 queued") < said.index("former post-receive")
    line = f"{'0' * 40} {commit} refs/heads/main"
    assert seen.read_text().splitlines() == [f"pre-receive 0 {repo.bare}", line, f"post-receive 0 {repo.bare}", line]
    seen.unlink()
    repo.branch("quiet")
    repo.commit({".pipeline/release.yaml": None})
    assert "former post-receive" in repo.push()
    assert seen.read_text().count("refs/heads/quiet") == 2
    with pytest.raises(Refused):
        repo.push("HEAD:refs/heads/refuse")
