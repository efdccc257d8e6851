"""Blue-green between two fleets: the one that is not live takes the release, then the traffic; and back if it is sick."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.actions.base import Context
from agent.actions.onhost import Shared
from agent.actions.rolling import Rolling
from agent.deploy.waves import Pace, shares
from agent.errors import EnvironmentFault
from agent.executors.balancer import Switch
from agent.model.outcome import Outcome, Reason, Status

CHOICE = "fleets.json"  # in the control directory


class Fleets(NamedTuple):
    """Which one had the traffic when the deployment began."""

    live: str
    idle: str


def choose(control: Path, names: tuple[str, ...], switch: Switch) -> Fleets:
    """The fleets of an attempt; decided once, as the traffic moves while it goes on. Raises EnvironmentFault."""
    path = control / CHOICE
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Fleets)
    now = switch.shares()
    live = max(names, key=lambda name: now.get(name, 0))
    found = Fleets(live, next(name for name in names if name != live))
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(found))
    fresh.replace(path)
    return found


class Shifting:
    """The traffic of one deployment, step by step to the fleet that has the release."""

    def __init__(self, fleets: Fleets, switch: Switch, pace: Pace, shared: Shared, context: Context) -> None:
        self._fleets = fleets
        self._switch = switch
        self._pace = pace
        self._shared = shared
        self._context = context

    def run(self, rolling: Rolling, done: Outcome) -> Outcome:
        """After all hosts of the idle fleet have the release. A stop leads the traffic back, as an unwell fleet does."""
        now = self._switch.shares().get(self._fleets.idle, 0)
        for share in (one for one in shares(self._pace) if one > now or one == 100):
            try:
                self._shift(share)
            except EnvironmentFault as fault:
                return self._back(fault.message, share)
            rolling.watch(self._pace.bake)
            if rolling.sick or self._shared.stop.is_set():
                return self._back(rolling.sick, share)
        idle, live = self._fleets.idle, self._fleets.live
        return msgspec.structs.replace(done, message=f"{idle}: {done.message}; it is live now, {live} keeps the former release")

    def _shift(self, share: int) -> None:
        idle, live = self._fleets.idle, self._fleets.live
        self._context.log.notice(f"{share} % of the traffic to {idle}")
        self._switch.shift({idle: share, live: 100 - share})

    def _back(self, wrong: str, share: int) -> Outcome:
        """Without something wrong it was a stop, or the time was over."""
        try:
            self._shift(0)
            back = f"the traffic is back on {self._fleets.live}"
        except EnvironmentFault as fault:
            back = f"the traffic could not be led back to {self._fleets.live}: {fault.message}"
        late = self._shared.now() >= self._shared.deadline
        why = wrong or ("took longer than its timeout allows" if late else "stopped")
        message = f"{self._fleets.idle} at {share} % of the traffic: {why}; {back}"
        if wrong:
            return Outcome(status=Status.FAILED, reason=Reason.EXIT, message=message)
        status, reason = (Status.FAILED, Reason.TIMEOUT) if late else (Status.ABANDONED, Reason.STOPPED)
        return Outcome(status=status, reason=reason, message=message)


def untouched(outcome: Outcome, fleets: Fleets) -> Outcome:
    """Of a fleet that could not take the release: nobody was led there."""
    message = f"{fleets.idle}: {outcome.message}; {fleets.live} keeps the traffic"
    return msgspec.structs.replace(outcome, message=message)
