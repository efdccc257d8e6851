"""Containers on a real engine."""

import gc
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from agent.config import Docker
from agent.errors import EnvironmentFault
from agent.executors.base import Executor, Job
from agent.executors.docker import DockerExecutor, unframed
from agent.executors.logs import LogFile
from agent.model.outcome import Reason
from agent.model.plan import Resources, Service
from tests.contracts.executors import ExecutorContract
from tests.support import images
from tests.support.engine import until
from tests.support.jobs import Jobs, Running, Worker, now, printed, run

WEB = "mkdir -p /srv && echo hello >/srv/index.html && exec httpd -f -p 8080 -h /srv"


def web(name: str, command: str = WEB, ready: str = "wget -q -O /dev/null http://localhost:8080/") -> Service:
    return Service(
        name=name, image=images.BUSYBOX, command=("sh", "-c", command), ready=ready, ready_timeout=timedelta(seconds=20)
    )


@pytest.mark.usefixtures("busybox")
class TestDocker(ExecutorContract):
    make = "tests.support.executors:docker"
    image = images.BUSYBOX

    def test_lesson_1_16_limits_and_rights_are_small(self, executor: Executor, job: Jobs):
        one = job(
            "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status\n"
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes; ls /sys/class/net"
        )
        run(executor, one, None)
        text = printed(one).decode()
        assert "00000000000000db" in text  # CHOWN DAC_OVERRIDE FOWNER FSETID SETGID SETUID
        assert "NoNewPrivs:\t1" in text
        assert str(256 * 1024**2) in text
        assert text.split()[-1] == "lo"

    def test_out_of_memory_is_told_apart(self, executor: Executor, job: Jobs):
        one = job(
            "head -c 200m /dev/zero | tail -c 200m >/dev/null; exec tail /dev/zero", resources=Resources(memory=32 * 1024**2)
        )
        ending = run(executor, one)
        assert (ending.reason, ending.exit_code) == (Reason.OUT_OF_MEMORY, 137)

    def test_a_killed_child_of_a_script_that_goes_on_is_no_failure(self, executor: Executor, job: Jobs):
        one = job("tail /dev/zero || echo rescued; exit 5", resources=Resources(memory=32 * 1024**2))
        assert (run(executor, one).exit_code, b"rescued" in printed(one)) == (5, True)

    def test_a_script_that_kills_itself_is_not_out_of_memory(self, executor: Executor, job: Jobs):
        ending = run(executor, job("kill -9 $$"))
        assert (ending.reason, ending.exit_code) == (None, 137)

    def test_a_fork_bomb_stays_in_its_container(self, executor: Executor, job: Jobs):
        one = job("for i in $(seq 200); do sleep 100 & done; echo through", resources=Resources(pids=32))
        assert run(executor, one).exit_code != 0
        assert b"fork" in printed(one)

    def test_nobody_gets_more_than_the_operator_allows(self, executor: Executor, job: Jobs):
        one = job("cat /sys/fs/cgroup/memory/memory.limit_in_bytes", resources=Resources(memory=1024**4, cpus=64.0, pids=10**6))
        assert run(executor, one).exit_code == 0
        assert printed(one).decode().strip() == str(256 * 1024**2)

    def test_a_missing_image_is_told_with_its_name(self, executor: Executor, job: Jobs):
        ending = run(executor, job("true", image="localhost:1/git-pipeline-test/nothing"))
        assert ending.reason is Reason.IMAGE
        assert "localhost:1/git-pipeline-test/nothing" in ending.message

    @pytest.mark.parametrize("shell", ["zsh", "bash"])
    def test_a_missing_shell_is_told_with_its_name(self, executor: Executor, job: Jobs, shell: str):
        ending = run(executor, job("true", shell=shell))
        assert (ending.reason, f"no `{shell}`" in ending.message) == (Reason.IMAGE, True)

    def test_an_image_without_sh(self, executor: Executor, job: Jobs, empty_image: str):
        ending = run(executor, job("true", image=empty_image))
        assert (ending.reason, "no `sh`" in ending.message) == (Reason.IMAGE, True)

    def test_any_command_can_be_the_shell(self, executor: Executor, job: Jobs, python_image: str):
        one = job("import sys; print(6 * 7); sys.exit(3)", shell="python3 -u", image=python_image)
        assert run(executor, one).exit_code == 3
        assert printed(one) == b"42\n"

    def test_no_engine_says_what_to_do(self, job: Jobs, tmp_path: Path):
        executor = DockerExecutor("r", Docker(host=f"unix://{tmp_path}/none.sock"), now)
        one = job("true")
        executor.prepare(one)
        with pytest.raises(EnvironmentFault, match="does not answer") as caught:
            run(executor, one)
        assert "systemctl start docker" in caught.value.hint

    def test_a_user_of_its_own_can_write(self, executor: Executor, job: Jobs):
        one = job("id -u; echo x >made; echo y >src/lib/made; rm src/old; echo a=b >/run/git-pipeline/output", user="1000")
        (one.workspace / "src/lib").mkdir(parents=True)
        (one.workspace / "src/old").write_text("")
        assert run(executor, one).exit_code == 0
        assert (printed(one), (one.control / "output").read_text()) == (b"1000\n", "a=b\n")

    def test_mounts_are_shared_both_ways(self, executor: Executor, job: Jobs, tmp_path: Path):
        cache = tmp_path / "a:b,c"
        cache.mkdir()
        (cache / "old").write_text("kept")
        one = job("cat /cache/old; echo new >/cache/new", mounts={str(cache): "/cache"})
        assert run(executor, one).exit_code == 0
        assert (printed(one), (cache / "new").read_text()) == (b"kept", "new\n")

    def test_services_answer_under_their_names(self, executor: Executor, job: Jobs):
        services = (web("db", "sleep 0.5; " + WEB), web("idle", "sleep 1000", ready=""))
        one = job("wget -q -O - http://db:8080/; grep -qw idle /etc/hosts", services=services)
        executor.prepare(one)
        assert run(executor, one).exit_code == 0
        assert printed(one) == b"hello\n"

    def test_services_in_a_network_may_share_a_port(self, executor: Executor, job: Jobs):
        one = job("wget -q -O - http://one:8080/; wget -q -O - http://two:8080/", network=True, services=(web("one"), web("two")))
        assert run(executor, one).exit_code == 0
        assert printed(one) == b"hello\nhello\n"
        executor.discard(one.id)
        assert executor.sweep(frozenset()) == ()

    def test_a_service_that_ends_or_never_gets_ready(self, executor: Executor, job: Jobs, tmp_path: Path):
        one = job("echo ran", services=(web("db", "echo broken; exit 3"),))
        notices: list[str] = []
        from threading import Event

        with LogFile(tmp_path / "log", on_notice=notices.append) as log:
            ending = executor.run(one, log, Event())
        assert (ending.reason, "exit code 3" in ending.message, "db: broken" in notices) == (Reason.EXIT, True, True)
        slow = Service(
            name="db", image=self.image, command=("sleep", "1000"), ready="exit 1", ready_timeout=timedelta(seconds=0.5)
        )
        two = job("echo ran", services=(slow,))
        assert run(executor, two).reason is Reason.TIMEOUT
        assert printed(two) == b""

    def test_nothing_is_left(self, executor: Executor, job: Jobs, repository: str):
        before = Path("/proc/self/mountinfo").read_text().count(repository)
        for one in (job("true"), job("true", services=(web("db"),))):
            run(executor, one)
            executor.discard(one.id)
        assert executor.sweep(frozenset()) == ()
        assert Path("/proc/self/mountinfo").read_text().count(repository) == before

    def test_a_trap_in_the_control_directory_harms_nobody(self, executor: Executor, job: Jobs, tmp_path: Path):
        victim = tmp_path / "victim"
        victim.write_text("precious")
        one = job(f"ln -sf {victim} /run/git-pipeline/asked; echo up; sleep 1000")
        running = Running(executor, one)
        until(lambda: printed(one) == b"up\n", "it runs")
        running.stop.set()
        assert running.ending().reason is Reason.STOPPED
        assert victim.read_text() == "precious"

    def test_a_container_held_by_a_dead_worker_is_replaced(self, executor: Executor, job: Jobs, repository: str):
        one = job("echo ran >>trace")
        holder = Worker("tests.executors.test_docker:Preparing", one, repository)
        until((one.control / "held").exists, "the container is held")
        holder.kill()
        assert run(executor, one).exit_code == 0
        assert (one.workspace / "trace").read_text() == "ran\n"

    def test_200_megabytes_arrive_whole(self, executor: Executor, job: Jobs):
        one = job("yes 0123456789012345678901234567890123456789012345678901234567890123456789abc | head -c 200000000")
        with LogFile(one.control.parent / "log") as log:
            from threading import Event

            assert executor.run(one, log, Event()).exit_code == 0
        assert (log.bytes, one.control.parent.joinpath("log").stat().st_size) == (200_000_000, 200_000_000)


class Preparing:
    """An executor that prepares instead of running, and says so."""

    def __init__(self, repository: str) -> None:
        from tests.support.executors import docker

        self._real = docker(repository)

    def run(self, job: Job, log: LogFile, stop) -> None:
        self._real.prepare(job)
        (job.control / "held").touch()
        stop.wait(60)


@pytest.fixture
def empty_image(engine: None):
    import io
    import tarfile

    import docker

    client = docker.APIClient(version="auto")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("nothing"))
    client.import_image_from_data(buffer.getvalue(), repository="git-pipeline-test/empty", tag="latest")
    yield "git-pipeline-test/empty:latest"
    client.close()


# The SDK leaves it to the garbage collector to close a socket that could not connect.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
class TestEngineGoesAway:
    """A private engine is restarted in the middle of a job."""

    @pytest.fixture
    def make(self, private_engine, tmp_path: Path):
        made: list[DockerExecutor] = []

        def make(**options: bool):
            engine = private_engine(**options)
            images.busybox(engine.host)
            made.append(DockerExecutor("away", Docker(host=engine.host), now, patience=60))
            return engine, made[-1], Jobs(tmp_path, "away", image=images.BUSYBOX)

        yield make
        for executor in made:
            executor.sweep(frozenset())
            executor.close()
        gc.collect()

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
    def test_with_live_restore_nothing_is_noticed(self, make, how: signal.Signals):
        engine, executor, job = make(live_restore=True)
        one = job("for i in $(seq 60); do echo line $i; sleep 0.1; done; exit 9")
        running = Running(executor, one)
        until(lambda: b"line 3\n" in printed(one), "it runs")
        engine.end(how)
        engine.start()
        assert running.ending(120).exit_code == 9
        assert printed(one).decode().splitlines() == [f"line {i}" for i in range(1, 61)]

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
    def test_without_it_the_job_is_lost_not_failed(self, make, how: signal.Signals):
        engine, executor, job = make()
        one = job("echo up; sleep 1000")
        running = Running(executor, one)
        until(lambda: printed(one) == b"up\n", "it runs")
        engine.end(how)
        engine.start()
        ending = running.ending(120)
        assert (ending.reason, printed(one)) == (Reason.LOST, b"up\n")


def test_frames_may_be_cut_anywhere():
    stream = b"".join(bytes([1, 0, 0, 0]) + len(part).to_bytes(4, "big") + part for part in (b"one", b"", b"two" * 50))
    for size in (1, 2, 3, 7, 8, 9, 100, 1000):
        pieces = iter([stream[start : start + size] for start in range(0, len(stream), size)])
        assert b"".join(unframed(lambda pieces=pieces: next(pieces, b""))) == b"one" + b"two" * 50
