"""A deployment to a hundred hosts at once; one is dead, one says nothing for a while. Only with GIT_PIPELINE_THOROUGH."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.deploying import fleet_in
from tests.support.engine import until
from tests.support.faults import THOROUGH

HOSTS = 100


@pytest.mark.skipif(not THOROUGH, reason="a hundred sshd are too much for every run")
def test_one_dead_and_one_slow_host_do_not_hold_up_the_others(tmp_path):
    with fleet_in(tmp_path) as fleet:
        for _ in range(HOSTS):
            fleet.farm.host()
        dead, slow, *others = fleet.farm.hosts
        dead.stop()
        slow.pause()
        commit = fleet.commit({"version": "one"})
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            deploying = pool.submit(fleet.deploy, commit, "CodeDeployDefault.AllAtOnce", start="cat version")
            current = [host.root.parent / "srv" / "app" / "current" for host in others]
            until(lambda: all(link.is_symlink() for link in current), "the others run it", 100)
            others_took = time.monotonic() - began
            slow.go_on()
            outcome = deploying.result()
        print(f"98 hosts: {others_took:.1f} s; with the slow one: {time.monotonic() - began:.1f} s; {outcome.message}")
        assert outcome.succeeded
        assert outcome.message.startswith(("98/100 hosts, h1: ", "99/100 hosts, h1: ")), outcome.message
        assert len({line.split(" | ")[0] for line in fleet.text.splitlines() if line.endswith(" | start | one")}) >= 98
