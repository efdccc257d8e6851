"""`git pipeline deployments`: what records tell, and what hosts say that they run. tests/system has it from end to end."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.actions.target import SshHost
from agent.cli import console
from agent.cli.deployments import _expected, _state, deployments, lines
from agent.deploy import commands
from agent.model.execution import TriggerType
from agent.model.ids import ExecutionId, Oid, PipelineName, StageName
from agent.model.outcome import Reason, Status
from agent.results.record import ActionRecord, AttemptRecord, Record, StageRecord
from tests.support.deploying import fleet_in

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
PLACE = {"group": "web", "path": "/srv/web", "hosts": "h1"}


def record(number, *actions):
    return Record(
        id=ExecutionId(f"{number:026d}"),
        schema=1,
        pipeline=PipelineName("release"),
        number=number,
        commit=Oid("1" * 40),
        ref="refs/heads/main",
        since="",
        trigger=TriggerType.PUSH,
        actor="alice",
        status=Status.SUCCEEDED,
        message="",
        created_at=NOW,
        started_at=NOW,
        ended_at=NOW,
        written_at=NOW,
        stages=(StageRecord(name=StageName("production"), actions=actions),),
    )


def attempt(made, release, minutes, status=Status.SUCCEEDED, **fields):
    at = NOW - timedelta(minutes=minutes)
    return made(status=status, ended_at=at, resolved={**PLACE, "release": release}, **fields)


def deployed(release, minutes, status=Status.SUCCEEDED, **fields):
    return attempt(ActionRecord, release, minutes, status, name="web", kind="deploy", **fields)


def test_every_attempt_to_deploy_counts_and_nothing_else():
    former = attempt(AttemptRecord, "c-1", 9, Status.FAILED, reason=Reason.EXIT, message="0/1 hosts")
    found = record(
        7,
        deployed("c-2", 5, former=(former,)),
        ActionRecord(name="test", kind="run", status=Status.SUCCEEDED),
        ActionRecord(name="waiting", kind="deploy"),
        ActionRecord(name="refused", kind="deploy", status=Status.FAILED, reason=Reason.POLICY),
    )
    assert [(one.release, one.status, one.label) for one in deployments(found)] == [
        ("c-1", Status.FAILED, "release #7"),
        ("c-2", Status.SUCCEEDED, "release #7"),
    ]


def test_what_hosts_should_run_is_the_last_that_succeeded_there():
    found = sorted(
        (one for number, action in ((1, deployed("c-1", 30)), (2, deployed("c-2", 20)), (3, deployed("c-3", 10, Status.FAILED)))
         for one in deployments(record(number, action))),
        reverse=True,
    )  # fmt: skip
    assert _expected(found, "web", "/srv/web") == "c-2"
    assert _expected(found, "web", "/srv/other") == ""


def test_a_table_of_them():
    told = list(deployments(record(3, deployed("c-3" + "0" * 39, 10, Status.FAILED, reason=Reason.EXIT, message="0/1 hosts"))))
    (line,) = lines(told, NOW, console.Paint(False))
    assert "release #3" in line
    assert "c-300000000000  " in line
    assert line.endswith("0/1 hosts")


class TestAsked:
    @pytest.fixture
    def fleet(self, tmp_path):
        with fleet_in(tmp_path) as fleet:
            fleet.farm.host()
            yield fleet

    def state(self, fleet, expected):
        groups = fleet.executor("ssh")
        return _state(groups, "web", groups.hosts("web")[0], "/srv/app", expected)

    def test_it_runs_what_it_should(self, fleet):
        assert self.state(fleet, "") == ("h1  nothing is deployed there", True)
        assert self.state(fleet, "c-1") == ("h1  nothing is deployed there", False)
        name = fleet.deploy(fleet.commit({"version": "one"})).outputs["release"]
        assert self.state(fleet, name) == (f"h1  {name[:14]}  release #1  succeeded", True)

    def test_drift(self, fleet):
        one = fleet.deploy(fleet.commit({"version": "one"})).outputs["release"]
        two = fleet.deploy(fleet.commit({"version": "two"})).outputs["release"]
        (fleet.app() / "current").unlink()
        (fleet.app() / "current").symlink_to(f"releases/{one}")
        told, is_well = self.state(fleet, two)
        assert told.endswith(f"  DRIFT: should run {two[:14]}")
        assert not is_well

    def test_after_a_rollback_it_says_so_and_is_as_it_should_be(self, fleet):
        one = fleet.deploy(fleet.commit({"version": "one"})).outputs["release"]
        fleet.deploy(fleet.commit({"version": "two"}), start="grep -q one version")
        assert self.state(fleet, one) == (f"h1  {one[:14]}  release #2 rolled back  succeeded", True)

    def test_a_deployment_that_is_under_way(self, fleet):
        groups = fleet.executor("ssh")
        host = groups.hosts("web")[0]
        fleet.deploy(fleet.commit({"version": "one"}))
        SshHost(host, groups.on("web", host)).call(commands.lock("/srv/app", "other", "release #9", 60))
        assert "lock: other" in self.state(fleet, "")[0]

    def test_a_host_that_is_away(self, fleet):
        fleet.farm.hosts[0].stop()
        told, is_well = self.state(fleet, "c-1")
        assert told.startswith("h1  root@127.")
        assert not is_well
