"""The file itself: durable, safe with several writers, and clear about what is wrong with it."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import EnvironmentFault
from agent.state.database import Conflict, open_database, open_existing
from agent.state.schema import VERSION


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state.db")


def test_is_wal_and_syncs_everything(path):
    database = open_database(path)
    assert database.row("PRAGMA journal_mode") == ("wal",)
    assert database.row("PRAGMA synchronous") == (2,)
    assert database.row("PRAGMA user_version") == (VERSION,)
    assert database.check() == ""


def test_a_failed_transaction_leaves_nothing(path):
    database = open_database(path)

    def half():
        with database.transaction():
            database.write("INSERT INTO marks VALUES ('a', 'b')")
            with database.transaction():
                database.write("INSERT INTO marks VALUES ('c', 'd')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert database.rows("SELECT * FROM marks") == []


def test_a_taken_key_is_a_conflict(path):
    database = open_database(path)
    database.write("INSERT INTO marks VALUES ('a', 'b')")
    with pytest.raises(Conflict):
        database.write("INSERT INTO marks VALUES ('a', 'c')")


def test_threads_share_a_database(path):
    database = open_database(path)
    database.write("INSERT INTO counters VALUES ('p', 0)")

    def count(_):
        with database.transaction():
            (value,) = database.row("SELECT number FROM counters")
            database.write("UPDATE counters SET number = ?", (value + 1,))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(200)))
    assert database.row("SELECT number FROM counters") == (200,)


def test_processes_share_a_database(path):
    database = open_database(path)
    database.write("INSERT INTO counters VALUES ('p', 0)")
    script = (
        "import sys\n"
        "from agent.state.database import open_database\n"
        "database = open_database(sys.argv[1])\n"
        "for _ in range(50):\n"
        "    with database.transaction():\n"
        "        (value,) = database.row('SELECT number FROM counters')\n"
        "        database.write('UPDATE counters SET number = ?', (value + 1,))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, path]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert database.row("SELECT number FROM counters") == (150,)


def test_a_killed_writer_leaves_what_it_committed(path):
    script = (
        "import os, sys\n"
        "from agent.state.database import open_database\n"
        "database = open_database(sys.argv[1])\n"
        "database.write(\"INSERT INTO marks VALUES ('kept', '')\")\n"
        "database.begin()\n"
        "database.write(\"INSERT INTO marks VALUES ('lost', '')\")\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path]).returncode == -9
    assert open_database(path).rows("SELECT name FROM marks") == [("kept",)]


def test_says_what_to_do_about_a_damaged_file(path):
    Path(path).write_bytes(b"this is no database" * 1000)
    with pytest.raises(EnvironmentFault) as caught:
        open_database(path)
    assert path in caught.value.message
    assert "move it away" in caught.value.hint


def test_says_who_holds_a_locked_file(path):
    holder = open_database(path)
    other = open_database(path, timeout=0.05)
    with holder.transaction(), pytest.raises(EnvironmentFault) as caught, other.transaction():
        pass
    assert "fuser" in caught.value.hint
    with other.transaction():
        other.write("INSERT INTO marks VALUES ('a', 'b')")


def test_refuses_the_file_of_a_newer_agent(path):
    open_database(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.close()
    with pytest.raises(EnvironmentFault, match="newer version"):
        open_database(path)


def test_a_directory_that_is_missing(tmp_path):
    with pytest.raises(EnvironmentFault) as caught:
        open_database(str(tmp_path / "gone" / "state.db"))
    assert "doctor" in caught.value.hint


def test_looking_does_not_create_the_file(path):
    with pytest.raises(EnvironmentFault):
        open_existing(path).rows("SELECT 1 FROM marks")
    assert not Path(path).exists()


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a small disk")
def test_a_full_disk_is_told_and_loses_nothing_committed(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=True)
    try:
        database = open_database(str(disk / "state.db"))
        database.write("INSERT INTO marks VALUES ('kept', '')")
        with pytest.raises(EnvironmentFault) as caught, database.transaction():
            database.write("INSERT INTO marks VALUES ('big', ?)", ("x" * 2_000_000,))
        assert "make room" in caught.value.hint
        assert database.rows("SELECT name FROM marks") == [("kept",)]
        database.close()
    finally:
        subprocess.run(["umount", disk], check=True)
