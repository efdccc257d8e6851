"""Blue-green on one host behind nginx, under load: switches and a rollback without a failed request.

`python -m bench downtime` does it with 20,000 requests.
"""

import pytest

from tests.support.deploying import fleet_in
from tests.support.engine import until
from tests.support.faults import THOROUGH
from tests.support.proxied import OPTIONS, Load, application, included, nginx


# nginx that reads its configuration again hangs up on clients between two requests; so these are as those that come anew.
@pytest.mark.parametrize("form", ["socket", "include"] if THOROUGH else ["socket"])
def test_switches_and_a_rollback_fail_no_request(tmp_path, form):
    with fleet_in(tmp_path) as fleet:
        host, place = fleet.farm.host(), tmp_path / "nginx"
        options = OPTIONS if form == "socket" else included(place, host.address)
        socket = fleet.app() / "current.sock" if form == "socket" else None
        assert fleet.deploy(fleet.commit(application("one")), "blue-green", **options).succeeded, fleet.text
        with nginx(place, host.address, socket), Load(host.address, keep=form == "socket") as load:
            until(lambda: load.answers["one"] > 50, "the first version answers")
            assert fleet.deploy(fleet.commit(application("two")), "blue-green", **options).succeeded, fleet.text
            until(lambda: load.answers["two"] > 50, "the second version answers")
            bad = fleet.deploy(fleet.commit(application("bad")), "blue-green", **options)
            assert bad.message.endswith("(health lost while it was watched); rolled back: h1"), bad.message
            before = load.answers["two"]
            until(lambda: load.answers["two"] > before + 50, "the second version answers again")
        assert load.failures == []
        assert set(load.answers) == {"one", "two", "bad"}
