"""The machine-wide limit: held across processes, given back by dying."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest

from agent.errors import EnvironmentFault
from agent.worker.machine import Places

HOLDER = """\
import signal, sys
from pathlib import Path
from threading import Event
from agent.worker.machine import Places
with Places(Path(sys.argv[1]), 2).one(Event()) as place:
    print(place, flush=True)
    signal.pause()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds one of two places."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "places")], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"True\n"
        yield process
        process.kill()


def test_no_limit_makes_no_files(tmp_path):
    with Places(tmp_path / "places", 0).one(Event()) as one, Places(tmp_path / "places", 0).one(Event()) as two:
        assert (one, two) == (True, True)
    assert not (tmp_path / "places").exists()


def test_places_are_shared_and_come_back_when_their_holder_is_killed(tmp_path, holder):
    places = Places(tmp_path / "places", 2)
    entered = Event()

    def wait():
        with places.one(Event()) as place:
            assert place
            entered.set()

    with places.one(Event()) as place:
        assert place
        third = Thread(target=wait)
        third.start()
        assert not entered.wait(0.3)
        os.kill(holder.pid, signal.SIGKILL)
        assert entered.wait(30)
    third.join(30)


def test_a_place_comes_back_at_the_end_also_of_an_error(tmp_path):
    places = Places(tmp_path, 1)
    with pytest.raises(ValueError, match="x"), places.one(Event()):
        raise ValueError("x")
    with places.one(Event()) as place:
        assert place


def test_who_is_stopped_waits_no_more(tmp_path):
    places, stop = Places(tmp_path, 1), Event()
    stop.set()
    with places.one(stop) as first:
        assert first  # there was one, and what goes on somewhere has to be ended with it
        with places.one(stop) as second:
            assert not second
    with places.one(Event()) as again:
        assert again


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match="no place for an action") as caught, Places(tmp_path / "file", 1).one(Event()):
        pass
    assert "install -d -m 1777" in caught.value.hint


@pytest.mark.usefixtures("as_root")
def test_another_users_files_can_be_locked():
    """Of two users of one machine, the first made the files."""
    script = (
        "import os, sys; from pathlib import Path; from threading import Event; from agent.worker.machine import Places\n"
        "os.setuid(12345)\n"
        "with Places(Path(sys.argv[1]), 1).one(Event()) as place: print(place)\n"
    )
    with TemporaryDirectory() as shared:
        Path(shared).chmod(0o1777)
        with Places(Path(shared), 1).one(Event()):
            pass
        done = subprocess.run([sys.executable, "-c", script, shared], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
