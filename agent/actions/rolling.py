"""The waves of a deployment over the hosts of one group, and the way back by the same code."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec

from agent.actions.base import Context
from agent.actions.onhost import HostResult, OnHost, Shared
from agent.deploy.health import Verdict, judge
from agent.deploy.waves import Rollout, Wave
from agent.model.outcome import Outcome, Reason, Status

THREADS = 32  # hosts at once
MOST_NAMED = 10  # hosts that a message speaks of


class Rolling:
    """The waves of one deployment, one after the other."""

    def __init__(self, group: Mapping[str, OnHost], rollout: Rollout, shared: Shared, context: Context) -> None:
        self._group = group
        self._rollout = rollout
        self._shared = shared
        self._context = context
        self._results: dict[str, HostResult] = {}

    def run(self) -> Outcome:
        """All waves, or as many as do well; then the way back if it is wanted."""
        verdict = Verdict.GO_ON
        for number, wave in enumerate(self._rollout.waves, 1):
            if self._shared.stop.is_set():
                break
            self._context.log.notice(f"wave {number} of {len(self._rollout.waves)}: {', '.join(wave.hosts[:MOST_NAMED])}")
            self._wave(wave)
            verdict = self._verdict()
            if verdict is Verdict.STOP or any(result.stopped for result in self._results.values()):
                break
        if self._shared.stop.is_set() or any(result.stopped for result in self._results.values()):
            return self._stopped()
        return self._succeeded() if verdict is Verdict.SUCCEEDED else self._failed()

    @property
    def sick(self) -> str:
        """What is wrong with hosts that did not do well, or are not well any more; empty if all are."""
        failed = [result for result in self._results.values() if not result.succeeded]
        return _told(failed) if failed else ""

    def _wave(self, wave: Wave) -> None:
        parts = [self._group[name] for name in wave.hosts if name in self._group]
        for name in set(wave.hosts) - set(self._group):
            self._keep(HostResult(host=name, succeeded=False, message="is not in the group any more"))
        each(parts, lambda part: self._keep(part.deploy()))
        if wave.bake and self._verdict() is not Verdict.STOP:
            self.watch(wave.bake)

    def watch(self, bake: timedelta) -> None:
        """Ask for the health of all hosts so far until the time is over; a host that is lost now is a failed one."""
        health = self._shared.options.health
        if not bake:
            return
        pause = health.interval.total_seconds() if health else bake.total_seconds()
        end = self._shared.now() + bake
        while self._shared.now() < end and self._verdict() is not Verdict.STOP:
            left = (end - self._shared.now()).total_seconds()
            if self._shared.stop.wait(max(0.0, min(pause, left))):
                return
            if health:
                each([self._group[name] for name, result in self._results.items() if result.succeeded], self._look_again)

    def _look_again(self, part: OnHost) -> None:
        if wrong := part.check():
            found = self._results[part.host.name]
            part.lost()
            lost = f"{wrong} (health lost while it was watched)"
            self._keep(msgspec.structs.replace(found, succeeded=False, message=lost))

    def _keep(self, result: HostResult) -> None:
        self._results[result.host] = result
        if not result.succeeded:
            self._shared.log.say(result.host, result.message)

    def _verdict(self) -> Verdict:
        succeeded = sum(result.succeeded for result in self._results.values())
        return judge(self._rollout.rule, succeeded, len(self._results) - succeeded)

    def _succeeded(self) -> Outcome:
        same = [name for name, result in self._results.items() if result.unchanged]
        nothing = len(same) == len(self._results)
        more = f"; {_names(same)} ran it already" if same and not nothing else ""
        failed = [result for result in self._results.values() if not result.succeeded]
        borne = f", {_told(failed)}" if failed else ""
        head = "nothing to do: all hosts run this revision already" if nothing else f"{self._counted()}{borne}{more}"
        return Outcome(status=Status.SUCCEEDED, message=head, outputs=self._outputs())

    def _failed(self) -> Outcome:
        failed = [result for result in self._results.values() if not result.succeeded]
        back = self._roll_back() if self._shared.options.rollback else ""
        message = f"{self._counted()}, {_told(failed)}{back}"
        return Outcome(status=Status.FAILED, reason=Reason.EXIT, message=message, outputs=self._outputs())

    def _stopped(self) -> Outcome:
        changed = [name for name, result in self._results.items() if result.changed]
        late = self._shared.now() >= self._shared.deadline
        what = "took longer than its timeout allows" if late else "stopped"
        message = f"{what}: {self._counted()} have the release" + (f", {_names(changed)} changed" if changed else "")
        status, reason = (Status.FAILED, Reason.TIMEOUT) if late else (Status.ABANDONED, Reason.STOPPED)
        return Outcome(status=status, reason=reason, message=message, outputs=self._outputs())

    def _roll_back(self) -> str:
        """By the same code path, on the hosts that were changed; what came of it, in words."""
        changed = {name: result for name, result in self._results.items() if result.changed and name in self._group}
        if not changed:
            return ""
        self._context.log.notice(f"rolling back {_names(list(changed))}")
        back: dict[str, HostResult] = {}

        def undo(part: OnHost) -> None:
            name = part.host.name
            back[name] = part.roll_back(changed[name].former)
            self._shared.log.say(name, f"rollback: {back[name].message or 'the former revision runs again'}")

        each([self._group[name] for name in changed], undo)
        well = [name for name, result in back.items() if result.succeeded]
        ill = [result for result in back.values() if not result.succeeded]
        said = f"; rolled back: {_names(well)}" if well else ""
        return said + (f"; not rolled back: {_told(ill)}" if ill else "")

    def _counted(self) -> str:
        succeeded = sum(result.succeeded for result in self._results.values())
        return f"{succeeded}/{self._rollout.rule.total} hosts"

    def _outputs(self) -> dict[str, str]:
        return {"hosts": ",".join(sorted(name for name, result in self._results.items() if result.succeeded))}


def each(parts: Iterable[OnHost], do: Callable[[OnHost], None]) -> None:
    """Side by side, each host in a thread; one that is slow or dead does not hold up the others."""
    listed = list(parts)
    if not listed:
        return
    with ThreadPoolExecutor(min(THREADS, len(listed)), thread_name_prefix="host") as pool:
        for done in [pool.submit(do, part) for part in listed]:
            done.result()


def _told(results: Sequence[HostResult]) -> str:
    shown = "; ".join(f"{result.host}: {result.message}" for result in sorted(results, key=lambda one: one.host)[:MOST_NAMED])
    return shown + (f"; and {len(results) - MOST_NAMED} more" if len(results) > MOST_NAMED else "")


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
