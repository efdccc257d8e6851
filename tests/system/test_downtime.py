"""Blue-green on one host behind nginx, under load: switches and a rollback without a failed request.

`python -m bench downtime` does it with 20,000 requests.
"""

from tests.support.deploying import fleet_in
from tests.support.engine import until
from tests.support.proxied import OPTIONS, Load, application, nginx


def test_switches_and_a_rollback_fail_no_request(tmp_path):
    with fleet_in(tmp_path) as fleet:
        host = fleet.farm.host()
        assert fleet.deploy(fleet.commit(application("one")), "blue-green", **OPTIONS).succeeded, fleet.text
        with nginx(tmp_path / "nginx", host.address, fleet.app() / "current.sock"), Load(host.address) as load:
            until(lambda: load.answers["one"] > 50, "the first version answers")
            assert fleet.deploy(fleet.commit(application("two")), "blue-green", **OPTIONS).succeeded, fleet.text
            until(lambda: load.answers["two"] > 50, "the second version answers")
            bad = fleet.deploy(fleet.commit(application("bad")), "blue-green", **OPTIONS)
            assert bad.message.endswith("(health lost while it was watched); rolled back: h1"), bad.message
            before = load.answers["two"]
            until(lambda: load.answers["two"] > before + 50, "the second version answers again")
        assert load.failures == []
        assert set(load.answers) == {"one", "two", "bad"}
