"""Faults of images, of the engine, and of the disk below a container: each with its outcome."""

import signal

from tests.support import images, system
from tests.support.faults import action, fill, one, printed, ran, record, shrink
from tests.support.system import System


def test_no_such_image(made, engine):
    found = ran(made, "echo never", 'image: "localhost:1/no/such:image"')
    assert (found["status"], found["reason"]) == ("Failed", "image")
    assert "localhost:1/no/such:image" in found["message"]


def test_the_engine_is_stopped(made):
    made.configure(f'[docker]\nhost = "unix://{made.root}/nobody.sock"\n')
    found = ran(made, "echo never", "image: some/image")
    assert (found["status"], found["reason"]) == ("Failed", "engine")
    assert "start it" in found["message"]


def test_who_stays_behind_in_a_container_is_ended(made, busybox):
    found = ran(made, "sleep 1000 &\nsetsid sleep 1000 &\necho started", f'image: "{busybox}"')
    assert found["status"] == "Succeeded"


def test_no_room_for_the_log(tmp_path, as_root, busybox):
    """The script goes on and its outcome counts; its log says that it is incomplete, and from where on."""
    made = System(tmp_path / "repo", share=True)
    try:
        executions = made.directory / "executions"
        shrink(executions)
        script = "echo first\nuntil [ -e /share/gate ]; do sleep 0.05; done\nyes 0123456789abcdef | head -c 4000000\necho last"
        made.commit(one(script, f'image: "{busybox}"'))
        made.queued()
        worker = made.worker(patience=0.3)
        made.until(lambda: b"first\n" in printed(made), "it runs")
        filler = executions / "filler"
        fill(filler)
        (made.lines.parent / "gate").touch()
        made.until(lambda: "incomplete from byte" in feeds(made) or worker.poll() is not None, "it prints more than fits")
        filler.unlink()
        assert worker.wait(system.PATIENCE) == 0
        assert action(made)["status"] == "Succeeded", made.log
        log = made.note("pipeline-log", made.head)
        assert b"first\n" in log
        assert b"the log is cut here" in log
        assert b"No space left on device" in log
        assert list(system.leftovers(made)) == [f"mount {executions}"]  # which is the small one
    finally:
        made.end()


def feeds(made: System) -> str:
    """What followers are shown."""
    return "".join(path.read_text() for path in made.directory.glob("executions/*/feed"))


def restarted(made: System, private_engine, script: str, shown: bytes, **options: bool) -> None:
    """Run it in a container of an engine that is killed once this was printed, and comes back."""
    engine = private_engine(**options)
    image = images.busybox(engine.host)
    made.configure(f'[docker]\nhost = "{engine.host}"\n')
    made.commit(one(script, f'image: "{image}"'))
    made.queued()
    worker = made.worker()
    made.until(lambda: shown in printed(made), "it runs")
    engine.end(signal.SIGKILL)
    engine.start()
    assert worker.wait(system.PATIENCE) == 0


def test_the_engine_restarts_in_mid_action(made, private_engine):
    """With live-restore the action has never noticed."""
    script = "n=0; while [ $n -lt 40 ]; do echo line $n; n=$((n + 1)); sleep 0.1; done"
    restarted(made, private_engine, script, b"line 5\n", live_restore=True)
    assert action(made)["status"] == "Succeeded", made.log
    log = made.note("pipeline-log", made.head).decode().splitlines()
    assert [line for line in log if line.startswith("line ")] == [f"line {number}" for number in range(40)]


def test_the_engine_restarts_and_takes_its_containers_along(made, private_engine):
    """Without live-restore nobody knows what the script would have done: it is not run again unasked, and its log is kept."""
    restarted(made, private_engine, "echo up $PIPELINE_ATTEMPT\nsleep 1000", b"up 1\n")
    found = action(made)
    assert (found["status"], found["reason"]) == ("Failed", "lost"), made.log
    assert record(made)["status"] == "Failed"
    log = made.note("pipeline-log", made.head)
    assert log.count(b"up 1\n") == 1
    assert b"up 2\n" not in log
