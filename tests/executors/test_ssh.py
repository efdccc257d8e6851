"""Jobs on a host over real SSH: the contract, lost connections, dead hosts, killed agents."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from agent.errors import EnvironmentFault
from agent.executors.base import SECRETS_ENV
from agent.executors.ssh import SshExecutor
from agent.model.outcome import Reason
from agent.model.plan import Service
from tests.contracts.executors import ExecutorContract
from tests.support.engine import until
from tests.support.farm import Farm, Host, offered, route, ssh
from tests.support.jobs import Jobs, Running, Worker, in_seconds, now, printed, run


@pytest.fixture(scope="module")
def host(farm: Farm):
    made = farm.host()
    with offered(made, farm.key):
        yield made


@contextmanager
def special(farm: Farm, change: Callable[[Host], None]) -> Iterator[Host]:
    """A host with other programs."""
    made = farm.host(start=False)
    change(made)
    made.start()
    with offered(made, farm.key):
        yield made


class TestSsh(ExecutorContract):
    """The host's file system is in our sight, so the suite's workspaces are those on the host itself."""

    make = "tests.support.farm:ssh"

    @pytest.fixture
    def job(self, host: Host, repository: str) -> Jobs:
        return Jobs(host.jobs, repository.replace("test-", "e"), image=self.image)

    @pytest.fixture(autouse=True)
    def there(self, host: Host) -> None:
        """The contract's own fixtures name no host."""


class TestOnBusybox(TestSsh):
    """A host as small as they come: busybox is its shell, its tar and everything else. The other has dash and GNU."""

    @pytest.fixture(scope="class")
    @classmethod
    def host(cls, farm: Farm):
        with special(farm, Host.has_only_busybox) as made:
            yield made

    def test_there_is_nothing_but_busybox(self, executor: SshExecutor, job: Jobs):
        one = job(
            "readlink /proc/$$/exe; cd /usr/bin; for each in tar head tail sleep cp wc setsid; do readlink $each; done | sort -u"
        )
        run(executor, one)
        assert printed(one) == b"/usr/bin/busybox\nbusybox\n"


class TestOnBash(TestSsh):
    """A host whose `sh` is bash, as it is where most of EC2's instances are."""

    @pytest.fixture(scope="class")
    @classmethod
    def host(cls, farm: Farm):
        with special(farm, Host.has_bash) as made:
            yield made

    def test_sh_is_bash(self, executor: SshExecutor, job: Jobs):
        one = job("echo ${BASH_VERSION:+bash} $SHELLOPTS", shell="sh")
        run(executor, one)
        assert printed(one).startswith(b"bash ")
        assert b"posix" in printed(one)

    def test_variables_that_bash_keeps_to_itself(self, executor: SshExecutor, job: Jobs):
        one = job("env | grep ^MINE=", env={"UID": "7", "EUID": "7", "PPID": "7", "SHELLOPTS": "noexec", "MINE": "x"})
        assert run(executor, one).exit_code == 0
        assert printed(one) == b"MINE=x\n"


@pytest.fixture
def job(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path, "e1" + os.urandom(5).hex())


@pytest.fixture
def executor(host: Host):
    made = ssh("test-" + os.urandom(5).hex())
    yield made
    made.sweep(frozenset())
    made.close()


COUNT = "echo ran >>/srv/{id}; i=0; while [ $i -lt {lines} ]; do i=$((i + 1)); echo line $i; sleep {pause}; done; exit 37"


def counted(lines: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(1, lines + 1))


def ran(host: Host, job_id: str) -> str:
    return (host.root.parent / "srv" / job_id).read_text()


def test_the_connection_cut_twice(executor: SshExecutor, host: Host, job: Jobs):
    one = job(COUNT.format(id="cut", lines=400, pause=0.01), id="e-cut")
    running = Running(executor, one)
    for lines in (50, 200):
        until(lambda lines=lines: printed(one).count(b"\n") >= lines, f"{lines} lines")
        assert host.cut()
    assert running.ending().exit_code == 37
    assert printed(one) == counted(400)
    assert ran(host, "cut") == "ran\n"


def test_the_agent_killed_and_the_connection_cut_during_ten_seconds(executor: SshExecutor, host: Host, job: Jobs):
    one = job(COUNT.format(id="killed", lines=100, pause=0.1), id="e-killed")
    worker = Worker("tests.support.farm:ssh", one, "test-killed")
    until(lambda: printed(one).count(b"\n") >= 20, "20 lines")
    worker.kill()
    worker = Worker("tests.support.farm:ssh", one, "test-killed")
    until(lambda: printed(one).count(b"\n") >= 40, "40 lines")
    host.cut()
    until(lambda: printed(one).count(b"\n") >= 60, "60 lines")
    host.cut()
    worker.kill()
    ending = run(ssh("test-killed"), one)
    assert (ending.exit_code, ending.reason) == (37, None)
    assert printed(one) == counted(100)
    assert ran(host, "killed") == "ran\n"


def test_a_host_that_dies_and_comes_back_has_lost_the_job(farm: Farm, job: Jobs):
    host = farm.host()
    executor = SshExecutor("test-dies", route(host, farm.key), now, patience=30)
    one = job("echo up; sleep 1000")
    running = Running(executor, one)
    until(lambda: printed(one) == b"up\n", "it runs")
    supervisor = int((host.jobs / one.id / "run" / "supervisor").read_text().split()[0])
    host.stop()
    os.kill(supervisor, signal.SIGKILL)
    host.start()
    ending = running.ending()
    assert ending.reason is Reason.LOST
    assert "without a word" in ending.message
    executor.discard(one.id)
    assert not (host.jobs / one.id).exists()


def test_a_host_that_dies_for_good(farm: Farm, job: Jobs):
    host = farm.host()
    executor = SshExecutor("test-good", route(host, farm.key), now, patience=0.5)
    one = job("echo up; sleep 1000")
    running = Running(executor, one)
    until(lambda: printed(one) == b"up\n", "it runs")
    host.stop()
    ending = running.ending()
    assert ending.reason is Reason.LOST
    assert host.address in ending.message
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        run(SshExecutor("test-good", route(host, farm.key), now), job("echo never"))


def test_the_host_itself_ends_a_job_that_takes_too_long(executor: SshExecutor, host: Host, job: Jobs):
    """The worker is killed, so nobody else does it: what is left of the time is given to the host at the start."""
    one = job("echo up; sleep 1000", deadline=in_seconds(10))
    worker = Worker("tests.support.farm:ssh", one, "test-late")
    until(lambda: printed(one) == b"up\n", "it runs")
    worker.kill()
    status = host.jobs / one.id / "run" / "status"
    until(status.exists, "it was ended")
    assert status.read_text().split()[3] == "late"
    assert run(executor, one).reason is Reason.TIMEOUT


def test_lines_come_soon_though_the_log_looks_as_old_as_by_a_clock_set_back(executor: SshExecutor, job: Jobs):
    long_ago = "touch -d '2001-01-01' ../run/log"
    one = job(f"echo one; {long_ago}; sleep 0.5; echo two; {long_ago}; sleep 0.5; printf three; {long_ago}; sleep 6")
    running = Running(executor, one)
    until(lambda: printed(one) == b"one\ntwo\nthree", "all of the log", 5)
    assert running.is_alive
    assert running.ending().exit_code == 0


def test_secrets_arrive_are_exported_and_go(executor: SshExecutor, host: Host, job: Jobs, tmp_path: Path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "TOKEN").write_text("s3cret")
    (secrets / SECRETS_ENV).write_text("API_TOKEN=s3cret\n")
    one = job('cat "$PIPELINE_SECRETS/TOKEN"; echo " $API_TOKEN"; stat -c %a "$PIPELINE_SECRETS/TOKEN"', secrets=secrets)
    place = executor.place(one).secrets
    one = type(one)(**{name: getattr(one, name) for name in one.__struct_fields__} | {"env": {"PIPELINE_SECRETS": place}})
    assert run(executor, one).exit_code == 0
    assert printed(one) == b"s3cret s3cret\n600\n"
    assert place.startswith("/dev/shm/")
    assert not Path(place).exists()


def test_a_workspace_with_everything_in_it(executor: SshExecutor, host: Host, job: Jobs):
    one = job("find . | sort; readlink link; ./tool")
    (one.workspace / "empty").mkdir()
    (one.workspace / ("long" * 40)).write_text("x")
    (one.workspace / "tool").write_text("#!/bin/sh\necho tool runs\n")
    (one.workspace / "tool").chmod(0o755)
    (one.workspace / "link").symlink_to("tool")
    assert run(executor, one).exit_code == 0
    assert printed(one).decode().splitlines() == [".", "./empty", "./link", "./" + "long" * 40, "./tool", "tool", "tool runs"]


def test_a_full_disk_on_the_host_is_said_so(farm: Farm, job: Jobs):
    host = farm.host()
    executor = SshExecutor("test-full", route(host, farm.key), now)
    small = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", "/root"]
    subprocess.run(["nsenter", "-t", str(host.pid), "-m", *small], check=True)
    one = job("echo never")
    (one.workspace / "big").write_bytes(os.urandom(300_000))
    with pytest.raises(EnvironmentFault) as fault:
        run(executor, one)
    assert "disk full" in fault.value.hint
    assert printed(one) == b""


def test_a_home_that_cannot_be_written(farm: Farm, job: Jobs):
    host = farm.host()
    subprocess.run(["nsenter", "-t", str(host.pid), "-m", "mount", "-o", "bind,ro", "/root", "/root"], check=True)
    executor = SshExecutor("test-home", route(host, farm.key), now)
    one = job("pwd")
    assert run(executor, one).exit_code == 0
    assert printed(one) == f"/tmp/git-pipeline-0/jobs/{one.id}/workspace\n".encode()
    executor.discard(one.id)
    assert not Path(f"/tmp/git-pipeline-0/jobs/{one.id}").exists()


@pytest.mark.parametrize("given", [{"user": "nobody"}, {"services": (Service(name="db", image="x"),)}])
def test_what_it_cannot_do_it_says(executor: SshExecutor, job: Jobs, given: dict):
    assert run(executor, job("true", **given)).reason is Reason.POLICY


def test_a_frozen_connection_is_given_up(executor: SshExecutor, host: Host, job: Jobs):
    """Neither closed nor alive: only our own clock tells."""
    executor.remote.open()
    connection, _ = executor.remote.open()
    host.freeze()
    with pytest.raises(EnvironmentFault, match="lost"):
        connection.run("true", timeout=0.5)
    assert not connection.is_open
    host.cut()
    one = job("echo fine")
    assert run(executor, one, Event()).exit_code == 0
