import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.actions.run import RunAction
from agent.artifacts import pack
from agent.errors import EnvironmentFault
from agent.executors.dummy import DummyExecutor
from agent.model.outcome import Reason, Status
from agent.model.outcome import TestSummary as Summary
from agent.model.plan import Approval, ArtifactOutput, Cache
from tests.support.attempts import Bench, attempt, utc_now
from tests.support.engine import until

REPORT = '<testsuite><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, {"src/a.txt": "from the commit\n", "requirements.txt": "a==1\n"})


def perform(bench, script, **fields):
    return RunAction().perform(attempt(script, **fields), bench)


def output(*files, name="dist", **fields):
    return ArtifactOutput(name=name, files=files, **fields)


def test_a_script_with_everything(bench, tmp_path):
    script = f"""
        cat src/a.txt
        mkdir dist && cp src/a.txt dist/b.txt
        echo "version=1.2" >> "$PIPELINE_OUTPUT"
        echo "noise=1" >> "$PIPELINE_OUTPUT"
        printf '%s' '{REPORT}' > report.xml
    """
    outcome = perform(bench, script, outputs=("version",), artifacts=(output("dist/**"),), reports=("*.xml",))
    assert (outcome.status, outcome.reason, outcome.exit_code) == (Status.SUCCEEDED, None, 0)
    assert bench.log.data == b"from the commit\n"
    assert outcome.outputs == {"version": "1.2"}
    assert outcome.tests == Summary(tests=2, failures=1, failed=("b",))
    assert set(outcome.timings) >= {"workspace", "collect"}
    assert any("noise" in notice for notice in bench.log.notices)
    (record,) = outcome.artifacts
    pack.unpack(bench.artifacts.fetch(record.digest), tmp_path, "fetched")
    assert (tmp_path / "fetched/dist/b.txt").read_text() == "from the commit\n"
    assert (record.name, record.files) == ("dist", 1)


def test_the_environment_is_seen_by_the_script(bench):
    script = 'echo "$CI $PIPELINE_NAME#$PIPELINE_NUMBER $PIPELINE_COMMIT $MINE $PROXY"; cd "$PIPELINE_WORKSPACE"; ls; touch ~/x'
    bench.operator = {"PROXY": "p"}
    outcome = perform(bench, script, env={"MINE": "m", "PIPELINE_COMMIT": "forged"})
    assert outcome.succeeded
    assert bench.log.data.decode() == f"true release#7 {'1' * 40} m p\nrequirements.txt\nsrc\n"
    assert any("PIPELINE_COMMIT" in notice for notice in bench.log.notices)


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("exit 3", 3, "exit code 3"),
        ("no-such-command-here", 127, "not found"),
        ("kill -KILL $$", 137, "SIGKILL"),
        (f"printf '%s' '{REPORT}' > report.xml; exit 1", 1, "1 of 2 tests failed"),
    ],
)
def test_a_failed_script(bench, script, code, words):
    outcome = perform(bench, script, reports=("report.xml",), artifacts=(output("nothing"),), outputs=("never",))
    assert (outcome.status, outcome.reason, outcome.exit_code) == (Status.FAILED, Reason.EXIT, code)
    assert words in outcome.message
    assert outcome.artifacts == ()


def test_a_missing_artifact_fails_a_script_that_succeeded(bench):
    outcome = perform(bench, "echo hi", artifacts=(output("dist/*.whl"),))
    assert (outcome.status, outcome.reason, outcome.exit_code) == (Status.FAILED, Reason.ARTIFACT, 0)
    assert "'dist/*.whl'" in outcome.message
    assert "src/a.txt" in outcome.message


def test_an_artifact_that_would_leak_a_file_of_the_server_fails(bench, tmp_path):
    (tmp_path / "secret").write_text("s")
    outcome = perform(bench, f"mkdir dist; ln -s {tmp_path}/secret dist/x", artifacts=(output("dist/**"),))
    assert outcome.reason is Reason.ARTIFACT
    assert "dist/x" in outcome.message


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("true", "did not set the declared output version"),
        ('echo garbage >> "$PIPELINE_OUTPUT"', "line 1"),
        ('rm "$PIPELINE_OUTPUT"', "did not set"),
        ('rm "$PIPELINE_OUTPUT"; ln -s /etc/passwd "$PIPELINE_OUTPUT"', "cannot be read"),
        ('rm "$PIPELINE_OUTPUT"; mkfifo "$PIPELINE_OUTPUT"', "cannot be read"),
    ],
)
def test_bad_outputs_fail_a_script_that_succeeded(bench, script, words):
    outcome = perform(bench, script, outputs=("version",))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.VARIABLE)
    assert words in outcome.message


def test_what_the_operator_refuses_does_not_run(bench):
    bench.refusal = "the image is not allowed"
    outcome = perform(bench, "touch ran")
    assert (outcome.status, outcome.reason, outcome.message) == (Status.FAILED, Reason.POLICY, "the image is not allowed")
    assert not (bench.root / "attempts").exists()


def test_a_stop_ends_it(bench):
    done = []
    made = attempt("echo ready; sleep 600")
    thread = threading.Thread(target=lambda: done.append(RunAction().perform(made, bench)))
    thread.start()
    until(lambda: b"ready" in bench.log.data, "the script runs")
    bench.stop.set()
    thread.join(30)
    assert (done[0].status, done[0].reason) == (Status.ABANDONED, Reason.STOPPED)


def test_a_deadline_ends_it(bench):
    made = msgspec.structs.replace(attempt("sleep 600"), deadline=utc_now() + timedelta(seconds=0.3))
    outcome = RunAction().perform(made, bench)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TIMEOUT)


def test_performing_again_runs_nothing_again_and_tells_the_same(bench):
    made = attempt(
        'echo x >> ran; echo "v=$(cat ran)" >> "$PIPELINE_OUTPUT"; mkdir -p c; echo c > c/c',
        outputs=("v",),
        artifacts=(output("ran"),),
        cache=(Cache(paths=("kept",), key_files=("requirements.txt",)),),
    )
    first = RunAction().perform(made, bench)
    again = RunAction().perform(msgspec.structs.replace(made, resumed=True), bench)
    assert first.succeeded
    assert (again.outputs, again.artifacts, again.status) == (first.outputs, first.artifacts, first.status)
    assert first.outputs == {"v": "x"}


WORKER = """
import sys
from pathlib import Path
from agent.actions.run import RunAction
from tests.support.attempts import Bench, attempt
RunAction().perform(attempt(sys.argv[2]), Bench(Path(sys.argv[1])))
"""


def test_a_worker_that_is_killed_is_taken_over(bench):
    script = """
        echo x >> ran; echo before
        while [ ! -e go ]; do sleep 0.05; done
        echo after; echo "v=$(cat ran)" >> "$PIPELINE_OUTPUT"
    """
    made = attempt(script, outputs=("v",))
    place = bench.workspace(made)
    root = Path(__file__).resolve().parents[2]
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(bench.root), script], cwd=root)
    until((place / "ran").exists, "the script runs")
    worker.kill()
    worker.wait()
    (place / "go").touch()
    outcome = RunAction().perform(msgspec.structs.replace(made, resumed=True), bench)
    assert (outcome.status, outcome.outputs) == (Status.SUCCEEDED, {"v": "x"}), outcome.message
    assert bench.log.data == b"before\nafter\n"


def test_a_broken_place_is_the_callers_business(tmp_path):
    bench = Bench(tmp_path, executor=DummyExecutor(utc_now))
    with pytest.raises(EnvironmentFault, match="engine is gone"):
        perform(bench, "true", env={"DUMMY_FAULT": "engine is gone"})


@pytest.mark.parametrize("reason", [Reason.OUT_OF_MEMORY, Reason.LOST, Reason.IMAGE])
def test_reasons_of_the_executor_are_handed_on(tmp_path, reason):
    bench = Bench(tmp_path, executor=DummyExecutor(utc_now))
    outcome = perform(bench, "true", env={"DUMMY_REASON": str(reason)})
    assert (outcome.status, outcome.reason, outcome.message) == (Status.FAILED, reason, "as asked")


def test_the_job_says_who_it_is(tmp_path):
    dummy = DummyExecutor(utc_now)
    made = attempt("true", work={"shell": "bash", "workdir": "src", "user": "1000", "network": True})
    RunAction().perform(made, Bench(tmp_path, executor=dummy))
    (job,) = dummy.ran
    assert job.id == made.id
    assert job.labels == {"pipeline": "release", "number": "7", "stage": "test", "action": "build", "attempt": "1"}
    assert (job.shell, job.workdir, job.user, job.network) == ("bash", "src", "1000", True)
    assert (job.control / "home").stat().st_mode & 0o777 == 0o777
    assert (job.control / "output").stat().st_mode & 0o777 == 0o666


def test_another_kind_of_work_is_a_bug(bench):
    made = attempt("true")
    wrong = msgspec.structs.replace(made, action=msgspec.structs.replace(made.action, work=Approval()))
    with pytest.raises(TypeError, match="build"):
        RunAction().perform(wrong, bench)


PIP = Cache(paths=("~/.cache/pip", "deps/modules"), key_files=("requirements.txt",))
FILL = 'ls ~/.cache/pip deps/modules; echo "$1" > ~/.cache/pip/wheel; echo m > deps/modules/m'


def run_cached(bench, script, number, **fields):
    bench.log.data = b""
    made = attempt(script, number=number, cache=(PIP,), **fields)
    outcome = RunAction().perform(made, bench)
    assert outcome.succeeded, outcome.message
    bench.forget(made)
    return bench.log.data.decode()


def test_a_cache_is_filled_then_found(bench):
    assert "wheel" not in run_cached(bench, FILL, 1)
    listing = run_cached(bench, FILL, 2)
    assert "wheel" in listing
    assert "m\n" in listing
    bench.files["requirements.txt"] = "a==2\n"
    assert "wheel" in run_cached(bench, FILL, 3)
    assert any("an older one found" in notice for notice in bench.log.notices)


def test_a_cache_is_no_part_of_the_artifacts(bench):
    run_cached(bench, FILL, 1, artifacts=(output("**"),))


def test_a_failed_script_saves_no_cache(bench):
    RunAction().perform(attempt(FILL + "; exit 1", number=1, cache=(PIP,)), bench)
    assert "wheel" not in run_cached(bench, FILL, 2)


def test_lesson_1_4_a_branch_cannot_poison_the_cache_of_main(bench):
    bench.protected = False
    run_cached(bench, "echo evil > ~/.cache/pip/wheel", 1, ref="refs/heads/topic")
    bench.protected = True
    assert "wheel" not in run_cached(bench, FILL, 2)
    bench.protected = False
    assert run_cached(bench, "cat ~/.cache/pip/wheel", 3, ref="refs/heads/topic") == "evil\n"
    assert run_cached(bench, "cat ~/.cache/pip/wheel", 4, ref="refs/heads/other") == "\n"


def test_a_job_cannot_change_a_kept_cache(bench):
    run_cached(bench, FILL, 1)
    run_cached(bench, "rm -r ~/.cache/pip/wheel deps/modules/m", 2)
    assert "wheel" in run_cached(bench, FILL, 3)


@pytest.mark.parametrize("path", ["../x", "~/../x", "a/../../x", ".", ""])
def test_a_cache_path_that_leads_out_fails(bench, path):
    outcome = perform(bench, "true", cache=(Cache(paths=(path,)),))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.ARTIFACT)


def test_a_link_in_the_commit_is_no_way_out_for_a_cache(bench, tmp_path):
    (tmp_path / "outside").mkdir()
    made = attempt("true", cache=(Cache(paths=("door/x",)),))
    (bench.workspace(made) / "door").symlink_to(tmp_path / "outside")
    assert RunAction().perform(made, bench).succeeded
    assert list((tmp_path / "outside").iterdir()) == []
    assert any("door/x is not used" in notice for notice in bench.log.notices)


def test_a_cache_that_does_not_work_fails_nothing(bench):
    (bench.root / "cache").write_text("not a directory")
    assert perform(bench, "true", cache=(PIP,)).succeeded
    assert any("is not used" in notice for notice in bench.log.notices)


def test_elsewhere_caches_are_mounts(tmp_path):
    class Elsewhere(DummyExecutor):
        def place(self, job):
            return msgspec.structs.replace(super().place(job), workspace="/workspace", control="/run/git-pipeline")

    dummy = Elsewhere(utc_now)
    cached = Cache(paths=("~/.cache/pip", "./node_modules/", "/root/.m2"))
    RunAction().perform(attempt("true", cache=(cached,), work={"runner": "docker"}), Bench(tmp_path, executor=dummy))
    (job,) = dummy.ran
    assert list(job.mounts.values()) == ["/run/git-pipeline/home/.cache/pip", "/workspace/node_modules", "/root/.m2"]
    assert all(os.path.isdir(place) and os.stat(place).st_mode & 0o777 == 0o777 for place in job.mounts)  # noqa: PTH112, PTH116
    assert not os.path.lexists(job.workspace / "node_modules")


def test_hosts_have_no_caches(tmp_path):
    dummy = DummyExecutor(utc_now)
    bench = Bench(tmp_path, executor=dummy)
    RunAction().perform(attempt("true", cache=(PIP,), work={"runner": "ssh", "hosts": "web"}), bench)
    (job,) = dummy.ran
    assert (job.mounts, "HOME" in job.env) == ({}, False)
    assert any("hosts" in notice for notice in bench.log.notices)
