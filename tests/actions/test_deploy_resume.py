"""Deployments whose connections are cut, whose agent goes away, whose host has no room: nothing is done twice."""

import subprocess
import threading
from pathlib import Path

import pytest

from agent.actions.hostlog import HostSink
from agent.model.outcome import Reason, Status
from tests.support.deploying import fleet_in
from tests.support.engine import until


@pytest.fixture
def fleet(tmp_path):
    with fleet_in(tmp_path) as fleet:
        yield fleet


SLOW = 'for n in 1 2 3 4 5 6; do echo "line $n of $(cat version)"; sleep 0.3; done; echo done >> /srv/done'


def test_cut_connections_neither_end_nor_repeat_it(fleet):
    host = fleet.farm.host()
    attempt = fleet.attempt(fleet.commit({"version": "one"}), start=SLOW)
    outcome = []
    worker = threading.Thread(target=lambda: outcome.append(fleet.perform(attempt)))
    worker.start()
    until(lambda: "line 2" in fleet.text, "the script runs")
    host.cut()
    until(lambda: "line 4" in fleet.text, "its log goes on")
    host.cut()
    worker.join(60)
    assert outcome[0].succeeded
    assert [line for line in fleet.text.splitlines() if "line" in line] == [f"h1 | start | line {n} of one" for n in range(1, 7)]
    assert (fleet.app().parent / "done").read_text() == "done\n"


def test_an_attempt_performed_again_finds_what_was_done_and_says_the_same_log(fleet):
    for _ in range(2):
        fleet.farm.host()
    attempt = fleet.attempt(fleet.commit({"version": "one"}), "one-at-a-time", start=SLOW)
    first = fleet.perform(attempt)
    lines = sorted(line for line in fleet.text.splitlines() if " | " in line)
    fleet.hang_up()
    again = fleet.perform(attempt)
    assert (again.status, again.message) == (first.status, first.message) == (Status.SUCCEEDED, "2/2 hosts")
    assert sorted(line for line in fleet.text.splitlines() if " | " in line) == lines
    assert [(fleet.app(n).parent / "done").read_text() for n in range(2)] == ["done\n"] * 2


def test_what_ended_while_nobody_listened_still_has_its_log(fleet, monkeypatch):
    fleet.farm.host()
    attempt = fleet.attempt(fleet.commit({"version": "one"}), before="echo a; echo b", start="echo c")
    with monkeypatch.context() as deaf:
        deaf.setattr(HostSink, "write", lambda sink, data: None)
        fleet.perform(attempt)
    assert " | " not in fleet.text
    fleet.hang_up()
    assert fleet.perform(attempt).message == "1/1 hosts"
    lines = [line for line in fleet.text.splitlines() if " | " in line]
    assert lines == ["h1 | before | a", "h1 | before | b", "h1 | start | c"]


def test_a_stopped_deployment_ends_its_scripts_and_gives_the_lock_back(fleet):
    fleet.farm.host()
    attempt = fleet.attempt(fleet.commit({"version": "one"}), start="sleep 4321 & echo $! > /srv/child; wait")
    outcome = []
    worker = threading.Thread(target=lambda: outcome.append(fleet.perform(attempt)))
    worker.start()
    child = fleet.app().parent / "child"
    until(child.exists, "the script runs")
    fleet.stop.set()
    worker.join(60)
    assert (outcome[0].status, outcome[0].reason) == (Status.ABANDONED, Reason.STOPPED)
    assert "h1 changed" in outcome[0].message
    command = Path("/proc") / child.read_text().strip() / "cmdline"
    until(lambda: not command.exists() or b"4321" not in command.read_bytes(), "the child is gone")
    assert not (fleet.app() / ".deploy" / "lock").exists()


def test_a_host_without_room_keeps_what_it_runs(fleet):
    fleet.farm.host()
    small, big = fleet.commit({"version": "one"}), fleet.commit({"version": "two", "big": "x" * 3_000_000})
    assert fleet.deploy(small).succeeded
    (fleet.app() / ".deploy" / "in").mkdir(exist_ok=True)
    place = fleet.app() / ".deploy" / "in"
    mount = ["nsenter", "-t", str(fleet.farm.hosts[0]._process.pid), "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]
    subprocess.run([*mount, "/srv/app/.deploy/in"], check=True)
    failed = fleet.deploy(big)
    assert failed.status is Status.FAILED
    assert "h1: the release cannot be put there" in failed.message
    assert "rolled back" not in failed.message
    assert (fleet.current() / "version").read_text() == "one"
    assert list(place.iterdir()) == []


def test_a_host_that_dies_in_the_middle_does_not_hold_up_the_others(fleet):
    for _ in range(3):
        fleet.farm.host()
    attempt = fleet.attempt(fleet.commit({"version": "one"}), "CodeDeployDefault.HalfAtATime", start=SLOW)
    outcome = []
    worker = threading.Thread(target=lambda: outcome.append(fleet.perform(attempt)))
    worker.start()
    until(lambda: "h1 | start | line 2" in fleet.text, "the script runs on the first host")
    fleet.farm.hosts[0].stop()
    worker.join(120)
    assert outcome[0].status is Status.FAILED  # half of three is two, and one of them is gone: the second must not be risked
    assert outcome[0].message.startswith("0/3 hosts, h1: ")
    assert "h1: root@127." in outcome[0].message
    assert not (fleet.app(1) / "current").exists()


def test_a_dead_host_of_a_wave_is_one_that_failed_and_the_others_go_back(fleet):
    for _ in range(3):
        fleet.farm.host()
    assert fleet.deploy(fleet.commit({"version": "one"})).succeeded
    attempt = fleet.attempt(fleet.commit({"version": "two"}), "all-at-once", start=SLOW)
    outcome = []
    worker = threading.Thread(target=lambda: outcome.append(fleet.perform(attempt)))
    worker.start()
    until(lambda: "h2 | start | line 2" in fleet.text, "the script runs on the second host")
    fleet.farm.hosts[1].stop()
    worker.join(120)
    assert outcome[0].message.startswith("2/3 hosts, h2: root@127.")
    assert "; rolled back: h1, h3; not rolled back: h2: root@127." in outcome[0].message
    assert [(fleet.current(n) / "version").read_text() for n in (0, 2)] == ["one", "one"]


def test_a_plain_script_that_hangs_is_ended_and_told(fleet):
    fleet.farm.host()
    assert fleet.deploy(fleet.commit({"version": "one"})).succeeded
    failed = fleet.deploy(fleet.commit({"version": "two"}), start="grep -q one version || sleep 999", script_timeout="1s")
    assert failed.message == "0/1 hosts, h1: start did not end within 1 s; rolled back: h1"
