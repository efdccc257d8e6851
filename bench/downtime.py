"""Failed requests while an application behind nginx is switched and rolled back: `python -m bench downtime`."""

import tempfile
from pathlib import Path

from tests.support.deploying import fleet_in
from tests.support.proxied import OPTIONS, Load, application, included, nginx

LEAST = 20_000  # requests
FORMS = {"socket": "nginx, a link to a socket", "include": "nginx, an included file that is read again"}


def run(form: str, least: int = LEAST) -> str:
    """Deploy, switch and roll back until there were enough requests; what came of them. `form`: FORMS says what is switched."""
    switches = rollbacks = 0
    with tempfile.TemporaryDirectory() as directory, fleet_in(Path(directory)) as fleet:
        host, place = fleet.farm.host(), Path(directory) / "nginx"
        options = OPTIONS if form == "socket" else included(place, host.address)
        socket = fleet.app() / "current.sock" if form == "socket" else None
        fleet.deploy(fleet.commit(application("0")), "blue-green", **options)
        with nginx(place, host.address, socket), Load(host.address, keep=form == "socket") as load:
            while load.count < least or not rollbacks:
                good = fleet.deploy(fleet.commit(application(f"{switches + 1}")), "blue-green", **options)
                bad = fleet.deploy(fleet.commit(application(f"bad {switches + 1}")), "blue-green", **options)
                if not good.succeeded or "; rolled back: h1" not in bad.message:
                    raise RuntimeError(f"{good.message}; {bad.message}")
                switches, rollbacks = switches + 1, rollbacks + 1
    failed = len(load.failures)
    more = f" ({', '.join(sorted(set(load.failures))[:5])})" if failed else ""
    return f"{load.count:,} requests, {switches} switches, {rollbacks} rollbacks: {failed} failed{more}"


if __name__ == "__main__":
    for form, words in FORMS.items():
        print(f"{words}: {run(form)}")
