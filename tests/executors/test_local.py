"""Processes of the agent's own machine."""

import os
from pathlib import Path

import pytest

from agent.executors.base import Executor
from agent.model.outcome import Reason
from agent.model.plan import Service
from tests.contracts.executors import ExecutorContract
from tests.support.engine import until
from tests.support.executors import ENVIRONMENT
from tests.support.jobs import Jobs, Running, Worker, printed, run


class TestLocal(ExecutorContract):
    make = "tests.support.executors:local"

    def test_the_environment_is_clean(self, executor: Executor, job: Jobs, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("GIT_DIR", "/elsewhere")
        one = job("env", env={"MINE": "1"})
        run(executor, one)
        names = {line.partition("=")[0] for line in printed(one).decode().splitlines()}
        assert names <= {*ENVIRONMENT, "MINE", "PIPELINE_JOB", "PIPELINE_OWNER", "PWD", "OLDPWD", "SHLVL", "_"}

    @pytest.mark.parametrize("given", [{"user": "nobody"}, {"services": (Service(name="db", image="x"),)}])
    def test_what_it_cannot_do_it_says(self, executor: Executor, job: Jobs, given: dict):
        assert run(executor, job("true", **given)).reason is Reason.POLICY

    def test_a_killed_supervisor_is_a_lost_job_and_leaves_nothing(self, executor: Executor, job: Jobs):
        one = job("echo up; sleep 1000")
        running = Running(executor, one)
        until(lambda: printed(one) == b"up\n", "it runs")
        supervisor = int((one.control / "started").read_text().split()[0])
        os.kill(supervisor, 9)
        assert running.ending().reason is Reason.LOST
        assert executor.sweep(frozenset()) == ()

    def test_worker_and_supervisor_killed(self, executor: Executor, job: Jobs, repository: str):
        one = job("echo up; sleep 1000")
        worker = Worker(self.make, one, repository)
        until(lambda: printed(one) == b"up\n", "it runs")
        worker.kill()
        os.kill(int((one.control / "started").read_text().split()[0]), 9)
        assert run(executor, one).reason is Reason.LOST
        assert executor.sweep(frozenset()) == ()

    def test_another_boot_makes_it_lost(self, executor: Executor, job: Jobs):
        one = job("echo up")
        stat = Path("/proc/self/stat").read_text().strip()
        (one.control / "started").write_text(f"{stat} another-boot\n")
        assert run(executor, one).reason is Reason.LOST
        assert printed(one) == b""

    def test_a_missing_working_directory_fails(self, executor: Executor, job: Jobs):
        one = job("echo ran", workdir="nowhere")
        assert run(executor, one).exit_code == 1
        assert b"nowhere" in printed(one)
