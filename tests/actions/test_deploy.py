"""The deploy action on real sshd processes."""

import re
from random import Random

import pytest

from agent.actions.target import SshHost
from agent.executors.sshclient import Unreachable
from agent.model.outcome import Reason, Status
from tests.support.deploying import fleet_in


@pytest.fixture
def fleet(tmp_path):
    with fleet_in(tmp_path) as fleet:
        yield fleet


FIRST = {"app.txt": "one", "dir/kept.txt": "kept", "dir/gone.txt": "gone", "link": "-> dir/kept.txt", "run.sh": "echo hi"}
SECOND = {"app.txt": "two", "dir/kept.txt": "kept", "new/file.txt": "new", "link": "-> app.txt", "run.sh": "echo hi"}


def contents(directory):
    return {
        str(path.relative_to(directory)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in directory.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_second_release_takes_only_what_changed_and_both_are_what_git_has(fleet):
    fleet.farm.host()
    first, second = fleet.commit(FIRST), fleet.commit(SECOND)
    done = fleet.deploy(first)
    assert (done.status, done.message) == (Status.SUCCEEDED, "1/1 hosts")
    old = fleet.current()
    assert contents(old) == FIRST
    assert fleet.deploy(second).succeeded
    assert contents(fleet.current()) == SECOND
    assert contents(old) == FIRST
    assert "took 3 files" in fleet.text
    kept = "dir/kept.txt"
    assert (old / kept).stat().st_ino == (fleet.current() / kept).stat().st_ino


@pytest.mark.parametrize("kind", ["commit", "artifact"])
def test_of_a_large_file_only_what_is_new_travels(fleet, kind):
    full, small = fleet.farm.host(), fleet.farm.host(start=False)
    small.has_only_busybox()
    small.start()
    noise = "".join(Random(3).choices("abcdefgh", k=600_000))
    large = [{"bin/it's.sh": noise, "log": noise[1:], "a": "1"}]
    large.append({"bin/it's.sh": f"{noise[:200_000]}new{noise[200_000:]}", "log": f"{noise[1:]}more", "a": "2"})
    large.append(dict.fromkeys(["bin/it's.sh", "log"], noise[2:]))
    one, two, three = (fleet.revision(files, kind) for files in large)
    assert fleet.perform(fleet.attempt(**one)).succeeded, fleet.text
    assert fleet.perform(fleet.attempt(**two)).succeeded, fleet.text
    assert fleet.text.count("took 3 files, 0.0 MB over") == 2, fleet.text
    for number in range(2):
        assert contents(fleet.current(number)) == large[1]
        assert (fleet.current(number) / "bin/it's.sh").stat().st_mode & 0o777 == 0o755

    changed = fleet.current(0) / "log"  # by somebody on the host
    changed.write_text("x" + changed.read_text())
    assert fleet.perform(fleet.attempt(**three)).succeeded, fleet.text
    assert re.findall(r"(h\d) : (?:took|\S+ is not what)[^\n]*", fleet.text).count(full.name) == 2, fleet.text
    assert [contents(fleet.current(number)) for number in range(2)] == [large[2]] * 2


def test_without_scripts_a_host_runs_no_job_and_is_spoken_to_three_times(fleet):
    host = fleet.farm.host()
    assert fleet.deploy(fleet.commit(FIRST)).succeeded
    spoken = host.log.count("Starting session")
    again = fleet.attempt(fleet.commit(SECOND))
    assert fleet.perform(again).succeeded
    assert host.log.count("Starting session") == spoken + 3  # lock, release, unlock
    assert contents(fleet.current()) == SECOND
    assert not list(host.jobs.iterdir())
    assert not list((fleet.app() / ".deploy" / "in").iterdir())
    assert fleet.perform(again).message == "1/1 hosts"  # as after a crash: it is found done


def test_without_scripts_too_a_host_that_fails_takes_the_others_back(fleet):
    for _ in range(3):
        fleet.farm.host()
    first, second = fleet.commit({"version": "one"}), fleet.commit({"version": "two"})
    assert fleet.deploy(first).succeeded
    (fleet.app(1) / "current").unlink()
    (fleet.app(1) / "current" / "in the way").mkdir(parents=True)
    failed = fleet.deploy(second)
    assert failed.message == (
        "2/3 hosts, h2: current cannot be switched; rolled back: h1, h3; "
        "not rolled back: h2: nothing to go back to: it was the first deployment"
    )
    assert [(fleet.current(n) / "version").read_text() for n in (0, 2)] == ["one"] * 2


def test_a_host_whose_answer_was_lost_may_have_been_changed(fleet, monkeypatch):
    for _ in range(2):
        fleet.farm.host()
    first, second = fleet.commit({"version": "one"}), fleet.commit({"version": "two"})
    assert fleet.deploy(first).succeeded
    real = SshHost.call

    def lossy(host, script, *words):
        said = real(host, script, *words)
        if host.name == "h1" and "tar xof" in script:
            raise Unreachable("the connection was lost")
        return said

    monkeypatch.setattr(SshHost, "call", lossy)
    assert fleet.deploy(second).message == "1/2 hosts, h1: the connection was lost; rolled back: h1, h2"
    assert [(fleet.current(n) / "version").read_text() for n in range(2)] == ["one"] * 2


def test_what_is_late_does_not_begin(fleet):
    fleet.farm.host()
    late = fleet.perform(fleet.attempt(fleet.commit(FIRST), timeout=-1))
    assert (late.status, late.reason) == (Status.FAILED, Reason.TIMEOUT)
    assert not (fleet.app() / "current").exists()


def test_the_same_revision_again_is_nothing_to_do_and_says_so(fleet):
    fleet.farm.host()
    commit = fleet.commit(FIRST)
    fleet.deploy(commit, start="echo started >> /srv/starts")
    again = fleet.deploy(commit, start="echo started >> /srv/starts")
    assert (again.status, again.message) == (Status.SUCCEEDED, "nothing to do: all hosts run this revision already")
    assert (fleet.app().parent / "starts").read_text() == "started\n"


def test_plain_scripts_run_in_order_and_their_lines_carry_host_and_event(fleet):
    fleet.farm.host()
    scripts = {
        name: f'echo {name} in $(basename "$(pwd -P)"), event $LIFECYCLE_EVENT' for name in ("before", "stop", "start", "after")
    }
    first, second = fleet.commit(FIRST), fleet.commit(SECOND)
    fleet.deploy(first, **scripts)
    assert [line.split(" | ")[1] for line in fleet.text.splitlines() if " | " in line] == ["before", "start", "after"]
    former = fleet.current().name
    fleet.deploy(second, **scripts)
    now = fleet.current().name
    assert [line for line in fleet.text.splitlines() if " | " in line] == [
        f"h1 | before | before in {now}, event before",
        f"h1 | stop | stop in {former}, event stop",
        f"h1 | start | start in {now}, event start",
        f"h1 | after | after in {now}, event after",
    ]


def test_a_script_gets_the_variables_of_the_action_whatever_they_are_called(fleet):
    fleet.farm.host()
    env = {name: f"my {name}" for name in ("PORT", "NAME", "LABEL", "STATE", "BASE", "code", "status", "WHY")}
    told = "; ".join(f'echo "${name}"' for name in (*env, "LIFECYCLE_EVENT", "BUNDLE_COMMIT"))
    commit = fleet.commit(FIRST)
    health = {"command": 'test "$PORT" = "my PORT"', "retries": "1"}
    assert fleet.deploy(commit, env=env, start=told, health=health).succeeded
    said = [line.split(" | ")[2] for line in fleet.text.splitlines() if " | start | " in line]
    assert said == [*env.values(), "start", commit]


def test_a_wave_that_fails_ends_the_deployment_and_goes_back_where_it_was(fleet):
    for _ in range(4):
        fleet.farm.host()
    first = fleet.commit({"version": "one"})
    second = fleet.commit({"version": "two"})
    health = {"command": "! grep -q two /srv/app/current/version || [ ! -e /srv/broken ]", "retries": "2", "interval": "1s"}
    start = "cat version >> /srv/started"
    assert fleet.deploy(first, health=health, start=start).succeeded
    (fleet.app(1).parent / "broken").touch()
    failed = fleet.deploy(second, "rolling", batch="2", health=health, start=start)
    assert (failed.status, failed.reason) == (Status.FAILED, Reason.EXIT)
    assert failed.message == ("1/4 hosts, h2: health check failed: the command ended with exit code 1; rolled back: h1, h2")
    assert [(fleet.current(n) / "version").read_text() for n in range(4)] == ["one"] * 4
    started = [(fleet.app(n).parent / "started").read_text() for n in range(4)]
    assert started == ["onetwoone", "onetwoone", "one", "one"]


def test_without_rollback_the_failed_hosts_keep_what_they_have(fleet):
    fleet.farm.host()
    failed = fleet.deploy(fleet.commit({"version": "one"}), start="exit 3", rollback="false")
    assert failed.message == "0/1 hosts, h1: start ended with exit code 3"
    assert (fleet.current() / "version").read_text() == "one"


def test_a_first_deployment_that_fails_has_nothing_to_go_back_to(fleet):
    fleet.farm.host()
    failed = fleet.deploy(fleet.commit({"version": "one"}), start="exit 3")
    assert "not rolled back: h1: nothing to go back to" in failed.message


def test_by_codedeploys_rules_a_dead_host_does_not_hold_up_the_others(fleet):
    for _ in range(4):
        fleet.farm.host()
    fleet.farm.hosts[2].stop()
    done = fleet.deploy(fleet.commit({"version": "one"}), "CodeDeployDefault.HalfAtATime")
    assert done.status is Status.SUCCEEDED
    assert done.message.startswith("3/4 hosts, h3: root@127.")
    assert done.outputs["hosts"] == "h1,h2,h4"


def test_a_canary_is_watched_and_its_lost_health_keeps_the_rest_as_it_was(fleet):
    for _ in range(3):
        fleet.farm.host()
    first, second = fleet.commit({"version": "one"}), fleet.commit({"version": "two"})
    fleet.deploy(first)
    # well at first, then never again: the first look takes the file away
    health = {"command": "! grep -q two /srv/app/current/version || rm /srv/well", "interval": "1s", "retries": "1"}
    (fleet.app(0).parent / "well").touch()
    failed = fleet.deploy(second, "canary", bake="30s", health=health)
    assert failed.message.startswith("0/3 hosts, h1: health check failed: the command ended with exit code 1 (health lost")
    assert failed.message.endswith("; rolled back: h1")
    assert [(fleet.current(n) / "version").read_text() for n in range(3)] == ["one"] * 3


def test_shared_paths_outlive_releases_and_only_the_last_ones_are_kept(fleet):
    fleet.farm.host()
    for number in range(5):
        fleet.deploy(fleet.commit({"version": str(number), "log/first": "seed"}), shared=["log"], keep="2")
        (fleet.current() / "log" / f"line{number}").write_text("x")
    assert sorted(path.name for path in (fleet.app() / "shared" / "log").iterdir()) == [
        "first",
        "line0",
        "line1",
        "line2",
        "line3",
        "line4",
    ]
    assert len(list((fleet.app() / "releases").iterdir())) == 2


def test_a_lock_of_another_is_respected_until_its_lease_is_over(fleet):
    fleet.farm.host()
    commit = fleet.commit({"version": "one"})
    lock = fleet.app() / ".deploy" / "lock"
    lock.mkdir(parents=True)
    (lock / "details").write_text("another\n9999999999\nother #7\n")
    failed = fleet.deploy(commit, lock_timeout="1s")
    assert "another deployment is under way: the lock is held by other #7" in failed.message
    (lock / "details").write_text("another\n1\nother #7\n")
    assert fleet.deploy(commit).succeeded
    assert not lock.exists()
    lock.mkdir()  # what is left of one whose owner's host died while it was given back
    assert fleet.deploy(fleet.commit({"version": "two"})).succeeded
    assert not lock.exists()


def test_blue_green_takes_the_idle_slot_and_switches_only_to_a_healthy_one(fleet):
    fleet.farm.host()
    options = {
        "slots": {"blue": "8081", "green": "8082"},
        "start": 'echo "start $SLOT $PORT $(cat version)" >> /srv/said',
        "stop": 'echo "stop $SLOT" >> /srv/said',
        "switch": 'echo "switch $SLOT" >> /srv/said',
        "health": {"command": "! grep -q bad /srv/app/slots/$SLOT/version", "retries": "1", "interval": "1s"},
    }
    assert fleet.deploy(fleet.commit({"version": "one"}), "blue-green", **options).succeeded
    assert fleet.deploy(fleet.commit({"version": "two"}), "blue-green", **options).succeeded
    failed = fleet.deploy(fleet.commit({"version": "bad"}), "blue-green", **options)
    assert failed.message == "0/1 hosts, h1: health check failed: the command ended with exit code 1"
    said = (fleet.app().parent / "said").read_text().splitlines()
    assert said == [
        "start blue 8081 one",
        "switch blue",
        "start green 8082 two",
        "switch green",
        "stop blue",
        "start blue 8081 bad",
        "stop blue",
    ]
    assert (fleet.current() / "version").read_text() == "two"


def test_a_value_that_was_looked_up_is_judged_once_more(fleet):
    failed = fleet.deploy(fleet.commit({"a": "b"}), path="srv/")
    assert (failed.status, failed.reason) == (Status.FAILED, Reason.VARIABLE)
    assert failed.message == "deploy: path: 'srv/' is not an absolute path of a directory"
