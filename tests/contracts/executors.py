"""What every executor promises (agent/executors/base.py). A subclass gives `make`, and says what its place can do.

Scripts use only words that the dummy understands too; a real shell is asked for by `has_shell`.
"""

import os
import uuid
from pathlib import Path
from threading import Event

import msgspec
import pytest

from agent.executors.base import Executor, Job
from agent.model.outcome import Reason
from tests.support.engine import until
from tests.support.jobs import Jobs, Running, Worker, in_seconds, printed, run


class ExecutorContract:
    """The suite. `make` is `module:function` of a function that takes the repository's identity and gives an executor."""

    make = ""
    image = ""
    has_shell = True
    survives = True  # what runs goes on without its worker

    def build(self, repository: str) -> Executor:
        module, _, name = self.make.partition(":")
        return getattr(__import__(module, fromlist=[name]), name)(repository)

    @pytest.fixture
    def repository(self) -> str:
        return f"test-{uuid.uuid4().hex}"

    @pytest.fixture
    def executor(self, repository: str):
        executor = self.build(repository)
        yield executor
        executor.sweep(frozenset())
        getattr(executor, "close", lambda: None)()

    @pytest.fixture
    def job(self, tmp_path: Path, repository: str) -> Jobs:
        return Jobs(tmp_path, repository.replace("test-", "e"), image=self.image)

    @pytest.fixture
    def shell(self) -> None:
        if not self.has_shell:
            pytest.skip("this executor has no shell")

    def test_an_exit_code_is_an_ending_not_an_exception(self, executor: Executor, job: Jobs):
        endings = [run(executor, job(f"exit {code}")) for code in (0, 1, 7)]
        assert [(ending.exit_code, ending.reason) for ending in endings] == [(0, None), (1, None), (7, None)]

    def test_output_comes_whole_and_in_order(self, executor: Executor, job: Jobs):
        lines = [f"line {number}" for number in range(500)]
        one = job("\n".join(f"echo {line}" for line in lines))
        run(executor, one)
        assert printed(one).decode().splitlines() == lines

    def test_both_streams_keep_their_order(self, executor: Executor, job: Jobs, shell: None):
        one = job("for i in 1 2 3 4 5 6 7 8; do echo out $i; echo err $i >&2; done")
        run(executor, one)
        assert printed(one).decode().split() == [word for i in range(1, 9) for word in ("out", str(i), "err", str(i))]

    def test_sh_ends_at_the_first_failure(self, executor: Executor, job: Jobs, shell: None):
        one = job("echo one\nfalse\necho two")
        assert run(executor, one).exit_code == 1
        assert printed(one) == b"one\n"

    def test_output_can_be_followed_while_it_runs(self, executor: Executor, job: Jobs):
        one = job("echo first\nsleep 1000")
        running = Running(executor, one)
        until(lambda: printed(one) == b"first\n", "the first line")
        running.stop.set()
        assert running.ending().reason is Reason.STOPPED

    def test_a_stop_before_the_start_starts_nothing(self, executor: Executor, job: Jobs):
        one, stop = job("echo ran"), Event()
        stop.set()
        assert run(executor, one, stop).reason is Reason.STOPPED
        assert printed(one) == b""

    def test_a_deadline_ends_the_job(self, executor: Executor, job: Jobs):
        one = job("echo first\nsleep 1000", deadline=in_seconds(1.5))
        ending = run(executor, one)
        assert (ending.reason, ending.exit_code) == (Reason.TIMEOUT, None)
        assert printed(one).startswith(b"first\n")

    def test_who_ignores_term_is_killed(self, executor: Executor, job: Jobs, shell: None):
        one = job("trap '' TERM; echo deaf; while :; do sleep 1; done")
        running = Running(executor, one)
        until(lambda: printed(one) == b"deaf\n", "the script runs")
        running.stop.set()
        assert running.ending().reason is Reason.STOPPED

    def test_who_cleans_up_at_term_may_do_so(self, executor: Executor, job: Jobs, shell: None):
        one = job("trap 'echo tidy; exit 9' TERM; echo up; sleep 1000 & wait", grace=20.0)
        running = Running(executor, one)
        until(lambda: printed(one) == b"up\n", "the script runs")
        running.stop.set()
        assert running.ending().reason is Reason.STOPPED
        assert printed(one) == b"up\ntidy\n"

    def test_who_forks_and_stays_does_not_outlive_the_job(self, executor: Executor, job: Jobs, shell: None):
        one = job(
            "setsid sh -c 'while :; do date >beat; sleep 0.05; done' & sleep 1000 &\n"
            "while ! test -s beat; do sleep 0.05; done; echo done"
        )
        assert run(executor, one).exit_code == 0
        assert printed(one) == b"done\n"
        assert _still(one.workspace / "beat")

    def test_what_escaped_ends_with_a_stop(self, executor: Executor, job: Jobs, shell: None):
        one = job("setsid sh -c 'trap \"\" TERM; while :; do date >beat; sleep 0.05; done' & echo up; sleep 1000")
        running = Running(executor, one)
        until((one.workspace / "beat").exists, "it beats")
        running.stop.set()
        assert running.ending().reason is Reason.STOPPED
        assert _still(one.workspace / "beat")

    def test_binary_output_arrives_as_it_is(self, executor: Executor, job: Jobs, shell: None):
        one = job("cat bytes")
        content = bytes(range(256)) * 4000
        (one.workspace / "bytes").write_bytes(content)
        run(executor, one)
        assert printed(one) == content

    def test_a_variable_may_have_any_name_that_is_not_ours(self, executor: Executor, job: Jobs, shell: None):
        names = "go dir run id stat boot control code root job dog birth when".split()  # noqa: SIM905 - a list of words
        one = job("".join(f'echo "${name}"\n' for name in names), env={name: f"my {name}" for name in names})
        run(executor, one)
        assert printed(one).decode().splitlines() == [f"my {name}" for name in names]

    def test_workspace_environment_and_output_file(self, executor: Executor, job: Jobs, shell: None):
        one = job('pwd; echo "$WHO" >made; echo a=b >>"$OUT"', workdir="sub", env={"WHO": "a 'b' $c", "OUT": ""})
        (one.workspace / "sub").mkdir()
        places = executor.place(one)
        one = Job(
            **{
                **{name: getattr(one, name) for name in one.__struct_fields__},
                "env": one.env | {"OUT": f"{places.control}/output"},
            }
        )
        assert run(executor, one).exit_code == 0
        assert printed(one).decode().strip() == f"{places.workspace}/sub"
        assert (one.workspace / "sub" / "made").read_text() == "a 'b' $c\n"
        assert (one.control / "output").read_text() == "a=b\n"

    def test_prepared_runs_once_and_not_before(self, executor: Executor, job: Jobs):
        one = job("echo ran")
        executor.prepare(one)
        assert printed(one) == b""
        assert run(executor, one).exit_code == 0
        assert printed(one) == b"ran\n"

    def test_prepared_and_discarded_never_runs(self, executor: Executor, job: Jobs, shell: None):
        one = job("echo ran >trace")
        executor.prepare(one)
        executor.discard(one.id)
        assert not (one.workspace / "trace").exists()
        assert executor.sweep(frozenset()) == ()

    def test_discard_twice_and_of_the_unknown(self, executor: Executor, job: Jobs):
        one = job("exit 0")
        run(executor, one)
        for name in (one.id, one.id, "nobody"):
            executor.discard(name)

    def test_an_ended_job_asked_again_tells_the_same(self, executor: Executor, job: Jobs, repository: str):
        one = job("echo once\nexit 5")
        first = run(executor, one)
        second = run(self.build(repository), one)
        assert (
            (second.exit_code, second.reason, second.image)
            == (first.exit_code, first.reason, first.image)
            == (5, None, first.image)
        )
        assert printed(one) == b"once\n"

    def test_a_worker_killed_in_the_middle(self, executor: Executor, job: Jobs, repository: str):
        """The script ran once, the log is whole, the ending is that of the script; or it is lost, where it cannot survive."""
        one = job("echo one\nsleep 2\necho two\nexit 4")
        worker = Worker(self.make, one, repository)
        until(lambda: printed(one) == b"one\n", "the first line")
        worker.kill()
        ending = run(executor, one)
        if self.survives:
            assert (ending.exit_code, ending.reason, printed(one)) == (4, None, b"one\ntwo\n")
        else:
            assert (ending.reason, printed(one)) == (Reason.LOST, b"one\n")

    def test_a_worker_killed_and_the_job_ended_meanwhile(self, executor: Executor, job: Jobs, repository: str, shell: None):
        one = job("echo ran >>trace; echo one; while ! test -e go; do sleep 0.05; done; echo two; touch gone; exit 4")
        worker = Worker(self.make, one, repository)
        until(lambda: printed(one) == b"one\n", "the first line")
        worker.kill()
        (one.workspace / "go").touch()
        until((one.workspace / "gone").exists, "the script is through")
        ending = run(executor, one)
        assert (ending.exit_code, ending.reason, printed(one)) == (4, None, b"one\ntwo\n")
        assert (one.workspace / "trace").read_text() == "ran\n"

    def test_a_timeout_is_kept_after_a_crash(self, executor: Executor, job: Jobs, repository: str):
        if not self.survives:
            pytest.skip("this executor's jobs die with the worker")
        one = job("echo one\nsleep 1000")
        worker = Worker(self.make, one, repository)
        until(lambda: printed(one) == b"one\n", "the first line")
        worker.kill()
        assert run(executor, msgspec.structs.replace(one, deadline=in_seconds(0.1))).reason is Reason.TIMEOUT

    def test_killed_at_any_moment_it_runs_at_most_once(self, executor: Executor, job: Jobs, repository: str, shell: None):
        """A worker that dies before, while and after the script starts: one line in the trace, never two."""
        for moment in range(6):
            one = job("echo ran >>trace; echo out")
            worker = Worker(self.make, one, repository)
            until(lambda one=one, moment=moment: _progress(one) >= moment or printed(one) == b"out\n", f"moment {moment}")
            worker.kill()
            ending = run(executor, one)
            assert (ending.exit_code, printed(one), (one.workspace / "trace").read_text()) == (0, b"out\n", "ran\n")

    def test_lesson_1_17_a_sweep_keeps_what_is_to_be_kept_and_what_is_not_ours(
        self, executor: Executor, job: Jobs, tmp_path: Path, repository: str, shell: None
    ):
        other = self.build(repository + "-other")
        keep, doomed, foreign = (
            Jobs(tmp_path / name, f"{repository[5:]}{name}", image=self.image)("echo up\nsleep 1000") for name in "kdf"
        )
        running = [Running(each, one) for each, one in ((executor, keep), (executor, doomed), (other, foreign))]
        for one in (keep, doomed, foreign):
            until(lambda one=one: printed(one) == b"up\n", "it runs")
        swept = self.build(repository).sweep(frozenset({keep.execution}))
        assert swept
        assert all(doomed.execution in words for words in swept)
        running[1].ending()
        assert running[0].is_alive
        assert running[2].is_alive
        for each in running:
            each.stop.set()
        for each in (running[0], running[2]):
            assert each.ending().reason is Reason.STOPPED
        other.sweep(frozenset())
        getattr(other, "close", lambda: None)()

    def test_lesson_1_17_an_empty_identity_is_a_bug(self):
        if not self.has_shell:
            pytest.skip("this executor leaves nothing to sweep")
        with pytest.raises(AssertionError):
            self.build("")


def _progress(job: Job) -> int:
    """How far a job got, by what it left: 0 nothing, then script, the claim, the trace."""
    marks = (job.control / "script", job.control / "started", job.workspace / "trace")
    return sum(2 * os.path.lexists(mark) for mark in marks)


def _still(path: Path) -> bool:
    """True if nobody touches this file any more: ten beats' time after we looked."""
    import time

    before = path.stat().st_mtime_ns
    time.sleep(0.5)
    return path.stat().st_mtime_ns == before
