"""The executor of tests keeps the contract of the real ones."""

import pytest

from agent.errors import EnvironmentFault
from agent.executors.dummy import DummyExecutor
from agent.model.outcome import Reason
from tests.contracts.executors import ExecutorContract
from tests.support.jobs import Jobs, printed, run


class TestDummy(ExecutorContract):
    make = "tests.support.executors:dummy"
    has_shell = False
    survives = False

    def test_its_environment_says_what_happens(self, executor: DummyExecutor, job: Jobs):
        one = job("echo no", env={"DUMMY_OUTPUT": "yes\n", "DUMMY_EXIT": "3"})
        assert run(executor, one).exit_code == 3
        assert printed(one) == b"yes\n"
        assert executor.ran == [one]

    def test_it_can_tell_any_reason_and_be_broken(self, executor: DummyExecutor, job: Jobs):
        assert run(executor, job("", env={"DUMMY_REASON": "lost"})).reason is Reason.LOST
        with pytest.raises(EnvironmentFault):
            run(executor, job("", env={"DUMMY_FAULT": "the engine is off"}))
