"""Failed requests while an application behind nginx is switched and rolled back: `python -m bench downtime`."""

import tempfile
from pathlib import Path

from tests.support.deploying import fleet_in
from tests.support.proxied import OPTIONS, Load, application, nginx

LEAST = 20_000  # requests


def run(least: int = LEAST) -> str:
    """Deploy, switch and roll back until there were enough requests; what came of them."""
    switches = rollbacks = 0
    with tempfile.TemporaryDirectory() as directory, fleet_in(Path(directory)) as fleet:
        host = fleet.farm.host()
        fleet.deploy(fleet.commit(application("0")), "blue-green", **OPTIONS)
        with nginx(Path(directory) / "nginx", host.address, fleet.app() / "current.sock"), Load(host.address) as load:
            while load.count < least or not rollbacks:
                good = fleet.deploy(fleet.commit(application(f"{switches + 1}")), "blue-green", **OPTIONS)
                bad = fleet.deploy(fleet.commit(application(f"bad {switches + 1}")), "blue-green", **OPTIONS)
                if not good.succeeded or "; rolled back: h1" not in bad.message:
                    raise RuntimeError(f"{good.message}; {bad.message}")
                switches, rollbacks = switches + 1, rollbacks + 1
    failed = len(load.failures)
    more = f" ({', '.join(sorted(set(load.failures))[:5])})" if failed else ""
    return f"{load.count:,} requests, {switches} switches, {rollbacks} rollbacks: {failed} failed{more}"


if __name__ == "__main__":
    print(run())
