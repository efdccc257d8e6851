"""Hosts behind a load balancer, two fleets, and health that the agent asks for: real hosts, and dummies in front of them."""

import http.server
import threading
from pathlib import Path

import pytest

from agent.actions.webcheck import ask
from agent.errors import EnvironmentFault
from agent.executors.balancer import DummyBalancer, DummySwitch
from agent.model.host import Host
from agent.model.outcome import Status
from tests.support.deploying import Traffic, fleet_in
from tests.support.engine import until

HEAD = "version: 0.0\nos: linux\nhooks:\n"
EVENTS = (
    "BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart",
    "ValidateService", "BeforeAllowTraffic", "AfterAllowTraffic",
)  # fmt: skip


@pytest.fixture
def fleet(tmp_path):
    with fleet_in(tmp_path) as fleet:
        yield fleet


class Noting(DummyBalancer):
    """Notes what it is told in the trace of the host, between the hooks."""

    def __init__(self, trace: Path) -> None:
        super().__init__()
        self._trace = trace

    def block(self, host, stop):
        super().block(host, stop)
        self._note("BlockTraffic")

    def allow(self, host, stop):
        super().allow(host, stop)
        self._note("AllowTraffic")

    def _note(self, event):
        with self._trace.open("a") as file:
            file.write(f"{event}\n")


class Died(BaseException):
    """Of an agent that is killed."""


class Dying(DummyBalancer):
    """The first agent that gives traffic back does not live to do it."""

    def __init__(self) -> None:
        super().__init__()
        self._died = False

    def allow(self, host, stop):
        if not self._died:
            self._died = True
            raise Died
        super().allow(host, stop)


def revision(fleet, number, **scripts):
    hooks = "".join(f"  {event}:\n    - location: {event}.sh\n" for event in EVENTS)
    files = {f"{event}.sh": f"#!/bin/sh\necho $LIFECYCLE_EVENT {number} >> /srv/trace\n" for event in EVENTS}
    changed = {f"{event}.sh": f"#!/bin/sh\n{text}\n" for event, text in scripts.items()}
    return fleet.commit({"appspec.yml": HEAD + hooks, "number": str(number), **files, **changed})


class TestBalancer:
    def test_every_event_in_its_order_and_the_traffic_between(self, fleet):
        fleet.farm.host()
        trace = fleet.app().parent / "trace"
        fleet.traffic = Traffic(balancer=Noting(trace))
        assert fleet.deploy(revision(fleet, 1), appspec="appspec.yml").succeeded, fleet.text
        first = ["BlockTraffic", *(f"{event} 1" for event in EVENTS[3:8]), "AllowTraffic", "AfterAllowTraffic 1"]
        assert trace.read_text().splitlines() == first
        trace.write_text("")
        assert fleet.deploy(revision(fleet, 2), appspec="appspec.yml").succeeded, fleet.text
        assert trace.read_text().splitlines() == [
            "BeforeBlockTraffic 1", "BlockTraffic", "AfterBlockTraffic 1", "ApplicationStop 1",
            *(f"{event} 2" for event in EVENTS[3:8]), "AllowTraffic", "AfterAllowTraffic 2",
        ]  # fmt: skip

    @pytest.mark.parametrize("scripts", [{"start": "echo started >> /srv/started"}, {}])
    def test_a_host_whose_agent_died_before_the_traffic_came_back_gets_it(self, fleet, scripts):
        fleet.farm.host()
        fleet.traffic = Traffic(balancer=Dying())
        attempt = fleet.attempt(fleet.commit({"version": "one"}), **scripts)
        with pytest.raises(Died):
            fleet.perform(attempt)
        assert fleet.traffic.balancer.told == ["block h1"]
        fleet.hang_up()
        assert fleet.perform(attempt).message == "1/1 hosts"
        assert fleet.traffic.balancer.told == ["block h1", "allow h1"]
        if scripts:
            assert (fleet.app().parent / "started").read_text() == "started\n"

    def test_a_host_that_failed_has_no_traffic_until_it_is_well_again(self, fleet):
        for _ in range(2):
            fleet.farm.host()
        fleet.traffic = Traffic()
        inside = fleet.traffic.balancer.inside
        assert fleet.deploy(fleet.commit({"version": "one"})).succeeded
        assert inside == {"h1", "h2"}
        bad = fleet.commit({"version": "bad"})
        failed = fleet.deploy(bad, "one-at-a-time", start="! grep bad version", rollback="false")
        assert failed.message == "0/2 hosts, h1: start ended with exit code 1"
        assert inside == {"h2"}
        failed = fleet.deploy(bad, "one-at-a-time", start="! grep bad version")
        assert failed.message.endswith("; rolled back: h1") or "not rolled back" in failed.message
        assert fleet.deploy(fleet.commit({"version": "two"})).succeeded
        assert inside == {"h1", "h2"}

    def test_who_runs_the_revision_already_keeps_the_traffic(self, fleet):
        fleet.farm.host()
        fleet.traffic = Traffic()
        commit = fleet.commit({"version": "one"})
        fleet.deploy(commit)
        fleet.deploy(commit)
        assert fleet.traffic.balancer.told == ["block h1", "allow h1"]

    def test_a_host_that_the_balancer_finds_sick_goes_back(self, fleet):
        class Sick(DummyBalancer):
            def allow(self, host, stop):
                super().allow(host, stop)
                if "two" in (fleet.current() / "version").read_text():
                    raise EnvironmentFault("load balancer: h1 is unhealthy after 300 s")

        fleet.farm.host()
        fleet.traffic = Traffic(balancer=Sick())
        assert fleet.deploy(fleet.commit({"version": "one"})).succeeded
        failed = fleet.deploy(fleet.commit({"version": "two"}))
        assert failed.message == "0/1 hosts, h1: load balancer: h1 is unhealthy after 300 s; rolled back: h1"
        assert (fleet.current() / "version").read_text() == "one"


class TestFleets:
    @pytest.fixture
    def fleet(self, fleet):
        for _ in range(4):
            fleet.farm.host()
        fleet.traffic = Traffic(("blue", "green"))
        return fleet

    def versions(self, fleet):
        return [(fleet.current(n) / "version").read_text() if (fleet.app(n) / "current").is_symlink() else "" for n in range(4)]

    def test_the_idle_one_takes_the_release_and_then_the_traffic(self, fleet):
        one = fleet.commit({"version": "one"})
        done = fleet.deploy(one, "blue-green")
        assert done.message == "green: 2/2 hosts; it is live now, blue keeps the former release"
        assert self.versions(fleet) == ["", "", "one", "one"]
        assert fleet.traffic.switch.told == [{"green": 100, "blue": 0}]
        assert fleet.traffic.balancer.inside == {"h3", "h4"}
        assert fleet.deploy(fleet.commit({"version": "two"}), "blue-green", canary="10%", batch="45%").succeeded
        assert self.versions(fleet) == ["two", "two", "one", "one"]
        assert [told["blue"] for told in fleet.traffic.switch.told[1:]] == [10, 55, 100]
        back = fleet.deploy(one, "blue-green")
        assert back.message.startswith("green: nothing to do: all hosts run this revision already; it is live now")
        assert fleet.traffic.switch.shares() == {"green": 100, "blue": 0}
        again = fleet.deploy(one, "blue-green")
        assert again.message == "nothing to do: green is live and runs this revision already"

    def test_a_release_that_fails_gets_no_traffic(self, fleet):
        failed = fleet.deploy(fleet.commit({"version": "bad"}), "blue-green", start="exit 3")
        assert failed.status is Status.FAILED
        assert failed.message.startswith("green: 0/2 hosts, h3: start ended with exit code 3")
        assert failed.message.endswith("; blue keeps the traffic")
        assert fleet.traffic.switch.told == []

    def test_health_that_is_lost_with_a_part_of_the_traffic_leads_it_back(self, fleet):
        health = {"command": "rm /srv/well", "retries": 1, "interval": "1s"}  # well once
        for number in (2, 3):
            (fleet.app(number).parent / "well").touch()
        failed = fleet.deploy(fleet.commit({"version": "x"}), "blue-green", canary="10%", bake="20s", health=health)
        assert failed.message.startswith("green at 10 % of the traffic: h3: health check failed")
        assert failed.message.endswith("; the traffic is back on blue")
        assert fleet.traffic.switch.told == [{"green": 10, "blue": 90}, {"green": 0, "blue": 100}]

    def test_a_balancer_that_fails_half_way_leads_the_traffic_back(self, fleet):
        class Failing(DummySwitch):
            def shift(self, shares):
                if 100 in shares.values() and shares["green"]:
                    raise EnvironmentFault("elbv2 modify_listener: Rate exceeded")
                super().shift(shares)

        fleet.traffic.switch = Failing({"blue": 100, "green": 0})
        failed = fleet.deploy(fleet.commit({"version": "x"}), "blue-green", canary="10%")
        assert failed.status is Status.FAILED
        assert failed.message == (
            "green at 100 % of the traffic: elbv2 modify_listener: Rate exceeded; the traffic is back on blue"
        )
        assert fleet.traffic.switch.shares() == {"blue": 100, "green": 0}

    def test_a_stop_leads_the_traffic_back(self, fleet):
        attempt = fleet.attempt(fleet.commit({"version": "x"}), "blue-green", canary="10%", bake="60s")
        outcome = []
        worker = threading.Thread(target=lambda: outcome.append(fleet.perform(attempt)))
        worker.start()
        until(lambda: fleet.traffic.switch.told, "a part of the traffic is shifted")
        fleet.stop.set()
        worker.join(60)
        assert (outcome[0].status, outcome[0].message) == (
            Status.ABANDONED,
            "green at 10 % of the traffic: stopped; the traffic is back on blue",
        )

    def test_another_strategy_or_slots_are_not_for_fleets(self, fleet):
        commit = fleet.commit({"version": "x"})
        assert "host group web is two fleets" in fleet.deploy(commit, "rolling").message


def test_blue_green_needs_slots_or_fleets(fleet):
    fleet.farm.host()
    failed = fleet.deploy(fleet.commit({"version": "x"}), "blue-green")
    assert "host group web has hosts of its own, so blue-green needs two `slots` on each" in failed.message


class Answering(http.server.BaseHTTPRequestHandler):
    status = 200
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Location", "http://127.0.0.9/")
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def web(fleet):
    """A web server at the address of the first host."""
    host = fleet.farm.host()
    kind = type("Server", (Answering,), {"asked": []})
    server = http.server.ThreadingHTTPServer((host.address, 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kind, server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


class TestByTheAgent:
    @pytest.mark.parametrize(("status", "said"), [(204, ""), (302, ""), (404, "404"), (503, "503")])
    def test_the_status_counts_and_no_redirection_is_followed(self, web, fleet, status, said):
        kind, port = web
        kind.status = status
        host = Host(name="h1", address=fleet.farm.hosts[0].address)
        assert ask(f"http://{{address}}:{port}/health?x=1", host, 5) == said
        assert kind.asked == ["/health?x=1"]

    @pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://{address}:80@example.com/", "http://{address}.example.com/"])
    def test_nobody_else_is_asked(self, url):
        assert ask(url, Host(name="h", address="127.0.0.1"), 1) == "the agent asks nobody but the hosts themselves"

    def test_nobody_there(self, fleet):
        host = fleet.farm.host()
        assert ask("http://{address}:1/", Host(name="h1", address=host.address), 5).startswith(
            f"no answer from {host.address}:1: "
        )

    def test_a_sick_host_goes_back_and_is_no_longer_nothing_to_do(self, web, fleet):
        kind, port = web
        health = {"url": f"http://{{address}}:{port}/", "by": "agent", "retries": 2, "interval": "1s"}
        one = fleet.commit({"version": "one"})
        assert fleet.deploy(one, health=health).succeeded
        kind.status = 503
        two = fleet.commit({"version": "two"})
        failed = fleet.deploy(two, health=health, rollback="false")
        assert failed.message == "0/1 hosts, h1: health check failed: 503"
        kind.status = 200
        assert fleet.deploy(two, health=health).message == "1/1 hosts"
