"""A script on many hosts at once: one slow or dead host holds nobody up, and what travels is made once."""

import threading
from pathlib import Path

import pytest

from agent.actions.hosts import LOG, HostsAction
from agent.config import HostGroup
from agent.executors.fleet import Fleet
from agent.executors.payload import WORKSPACE
from agent.executors.ssh import SshExecutor
from agent.model.outcome import Outcome, Reason, Status
from tests.support.attempts import Bench, attempt, utc_now
from tests.support.engine import until
from tests.support.farm import Farm, Host, route

HOSTS = 12
WORK = {"runner": "ssh", "hosts": "web"}


@pytest.fixture(scope="module")
def farm(farm: Farm) -> Farm:
    for _ in range(HOSTS):
        farm.host()
    return farm


class Many(Bench):
    """A Context with the hosts of a farm as group `web`."""

    def __init__(self, root: Path, farm: Farm, files: dict[str, str] | None = None) -> None:
        super().__init__(root, files)
        self.farm = farm
        group = HostGroup(addresses={host.name: f"{host.address}:{host.port}" for host in farm.hosts})
        self.fleet = Fleet({"web": group}, root / "hosts", lambda places: (), self._build)

    def executor(self, name):
        assert name == "ssh"
        return self.fleet

    def _build(self, group, about) -> SshExecutor:
        host = next(host for host in self.farm.hosts if host.name == about.name)
        return SshExecutor("test repository", route(host, self.farm.key, timeout=1.0), utc_now, patience=2.0)


@pytest.fixture
def many(tmp_path: Path, farm: Farm):
    made = Many(tmp_path, farm, {"file": "from the commit"})
    yield made
    made.fleet.discard(attempt("", work=WORK).id)
    made.fleet.close()


def said_by(many: Many) -> set[str]:
    return {line.partition(" | ")[0] for line in many.log.data.decode().splitlines() if " | " in line}


def test_a_slow_host_does_not_hold_the_others_up(many: Many, tmp_path: Path):
    """It waits for a file that is made when the others are through."""
    slow, *others = many.farm.hosts
    gate = slow.root.parent / "srv" / "gate"
    script = f'[ "$PIPELINE_HOST" != {slow.name} ] || until [ -e /srv/gate ]; do sleep 0.05; done; cat file; echo'
    outcomes: list[Outcome] = []
    one = attempt(script, work=WORK)
    thread = threading.Thread(target=lambda: outcomes.append(HostsAction().perform(one, many)))
    thread.start()
    until(lambda: said_by(many) == {host.name for host in others}, "all others are through")
    assert not outcomes
    gate.touch()
    thread.join(60)
    assert (outcomes[0].status, outcomes[0].message) == (Status.SUCCEEDED, f"{HOSTS}/{HOSTS} hosts")
    lines = sorted(many.log.data.decode().splitlines())
    assert lines == sorted(f"{host.name} | from the commit" for host in many.farm.hosts)
    control = many.control(one)
    assert [path.relative_to(control) for path in control.rglob("*.tar")] == [Path(WORKSPACE)]
    assert sorted((control / LOG).read_text().splitlines()) == lines


def test_dead_and_mute_hosts_are_told_by_name(many: Many):
    dead, mute = many.farm.hosts[3], many.farm.hosts[7]
    dead.stop()
    mute.pause()
    try:
        outcome = HostsAction().perform(attempt("echo fine", work=WORK), many)
    finally:
        mute.go_on()
        dead.start()
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.ENGINE)
    assert outcome.message.startswith(
        f"{HOSTS - 2}/{HOSTS} hosts, {dead.name}: root@{dead.address}:{dead.port} cannot be reached"
    )
    assert f"{mute.name}: root@{mute.address}:{mute.port} cannot be reached" in outcome.message
    assert said_by(many) == {host.name for host in many.farm.hosts if host not in {dead, mute}}


def test_performed_again_it_says_the_same_and_runs_nothing_twice(many: Many):
    one = attempt('echo once >>"/srv/$PIPELINE_EXECUTION.$PIPELINE_ATTEMPT.$(hostname)"; exit 3', number=5, work=WORK)
    first, said = HostsAction().perform(one, many), many.log.data
    many.log.data = b""
    again = HostsAction().perform(one, many)
    assert (again.message, again.exit_code) == (first.message, first.exit_code)
    assert first.exit_code == 3
    assert first.message.endswith(f"and {HOSTS - 5} more")
    assert sorted(many.log.data.splitlines()) == sorted(said.splitlines())
    for host in many.farm.hosts:
        assert _marks(host) == ["once\n"]
    many.fleet.discard(one.id)
    assert not [job for host in many.farm.hosts for job in host.jobs.iterdir()]


def _marks(host: Host) -> list[str]:
    return [path.read_text() for path in (host.root.parent / "srv").glob(f"*.5.{host.name}")]
