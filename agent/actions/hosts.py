"""`run` with `hosts: GROUP`: the same script on every host of the group at once, and what came of it as one outcome.

Each host gets the commit and the inputs in a directory of its own, in which the script runs. It succeeds if it does on all hosts.
An output counts if the hosts that set it agree. Artifacts, reports and caches do not come back from hosts.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.actions import environment, outputs
from agent.actions.base import Attempt, Context
from agent.actions.outputs import OutputError
from agent.actions.run import Phases, failure, job_of, said, work_of
from agent.artifacts.base import ArtifactError
from agent.errors import EnvironmentFault, RefusedError
from agent.executors.base import Ending, Job
from agent.executors.fleet import THREADS, Fleet, job_id
from agent.executors.merging import Merged
from agent.executors.payload import workspace_payload
from agent.model.host import Host
from agent.model.outcome import Outcome, Reason, Status

LOG = "hosts.log"  # in the control directory
TOLD = 5  # hosts that a message names


class Result(NamedTuple):
    """How it ended on one host; `control` holds the output file."""

    host: Host
    ending: Ending
    control: Path

    @property
    def succeeded(self) -> bool:
        return self.ending.reason is None and self.ending.exit_code == 0


class HostsAction:
    """An Action for `model.plan.Run` with `hosts`."""

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        phases = Phases(context)
        resolved: dict[str, str] = {}
        try:
            context.permit(attempt)
            fleet = _fleet(attempt, context)
            with phases.phase("resolve"):
                hosts = fleet.assign(attempt.id, attempt.execution.id, work_of(attempt).hosts)
            resolved["hosts"] = ", ".join(str(host) for host in hosts)
            with phases.phase("workspace"):
                payload = workspace_payload(context.workspace(attempt), context.control(attempt))
            with phases.phase("run"):
                results = _on_all(fleet, hosts, attempt, context, payload)
            outcome = combine(results, attempt)
        except (RefusedError, ArtifactError, OutputError) as error:
            outcome = failure(error)
        return msgspec.structs.replace(outcome, timings=phases.seconds, resolved=resolved)


def combine(results: tuple[Result, ...], attempt: Attempt) -> Outcome:
    """The outcome of all hosts together. Raises OutputError for outputs that hosts do not agree on."""
    bad = [result for result in results if not result.succeeded]
    message = tell(results)
    if not bad:
        return Outcome(status=Status.SUCCEEDED, exit_code=0, message=message, outputs=_outputs(results, attempt))
    first = bad[0].ending
    stopped = any(result.ending.reason is Reason.STOPPED for result in bad)
    reason = Reason.STOPPED if stopped else first.reason or Reason.EXIT
    status = Status.ABANDONED if stopped else Status.FAILED
    return Outcome(status=status, reason=reason, message=message, exit_code=first.exit_code)


def tell(results: tuple[Result, ...]) -> str:
    """How many hosts did it, and what the others say: `3/4 hosts, web-3: exit code 5`."""
    bad = [result for result in results if not result.succeeded]
    words = [f"{result.host.name}: {_why(result.ending)}" for result in bad[:TOLD]]
    more = [f"and {len(bad) - TOLD} more"] if len(bad) > TOLD else []
    return ", ".join([f"{len(results) - len(bad)}/{len(results)} hosts", *words, *more])


def _why(ending: Ending) -> str:
    if ending.reason is None and ending.exit_code is not None:
        return said(ending, None).removeprefix("the script ended with ")
    return ending.message or str(ending.reason)


def _fleet(attempt: Attempt, context: Context) -> Fleet:
    fleet = context.executor(work_of(attempt).runner)
    if not isinstance(fleet, Fleet):
        raise RefusedError("this runner has no host groups", hint="leave `runner` out: `hosts` run over SSH")
    needed = [output.name for output in attempt.action.artifacts if not output.optional]
    if needed:
        raise RefusedError(f"artifact {needed[0]} cannot come from hosts", hint="make it in an action that runs in a container")
    for word, given in (("reports", attempt.action.reports), ("caches", attempt.action.cache)):
        if given:
            context.log.notice(f"{word} are not used on hosts")
    return fleet


def _on_all(fleet: Fleet, hosts: tuple[Host, ...], attempt: Attempt, context: Context, payload: Path) -> tuple[Result, ...]:
    control, workspace = context.control(attempt), context.workspace(attempt)
    secrets = context.secrets(attempt)
    try:
        merged = Merged(control / LOG, context.log)
    except OSError as error:
        raise EnvironmentFault(f"{control}: {error.strerror}", hint="is the disk full?") from error

    def on(host: Host) -> Result:
        own = control / "hosts" / host.name
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        job = msgspec.structs.replace(
            job_of(attempt, work_of(attempt), workspace, own), id=job_id(attempt.id, host), secrets=secrets
        )
        return Result(host, _on(fleet, host, job, attempt, context, merged, payload), own)

    with merged, ThreadPoolExecutor(min(THREADS, len(hosts)), "host") as pool:
        return tuple(pool.map(on, hosts))


def _on(fleet: Fleet, host: Host, job: Job, attempt: Attempt, context: Context, merged: Merged, payload: Path) -> Ending:
    sink = merged.host(host.name)
    try:
        executor = fleet.on(work_of(attempt).hosts, host)
        places = executor.place(job)
        env = environment.merged(attempt, places, context.environment(attempt), home="")
        ready = msgspec.structs.replace(job, env=env | {"PIPELINE_HOST": host.name})
        return executor.run(ready, sink, context.stop, offset=sink.offset, payload=payload)
    except EnvironmentFault as fault:
        sink.notice(str(fault))
        return Ending(reason=Reason.ENGINE, message=fault.message)
    finally:
        sink.finish()


def _outputs(results: tuple[Result, ...], attempt: Attempt) -> dict[str, str]:
    """What the hosts that set outputs agree on; a host whose output file is empty has no say."""
    said = {result.host.name: _read(result.control / environment.OUTPUT) for result in results}
    parsed = {name: outputs.parse(content, attempt.action.outputs) for name, content in said.items() if content}
    if not parsed:
        return outputs.parse(b"", attempt.action.outputs).values
    first, expected = next(iter(parsed.items()))
    for host, found in parsed.items():
        for name, value in found.values.items():
            if value != expected.values[name]:
                raise OutputError(
                    f"the hosts do not agree on output {name}: {first} and {host} differ",
                    hint="set it on one host only: $PIPELINE_HOST is the name of the host",
                )
    return expected.values


def _read(path: Path) -> bytes:
    return path.read_bytes()[: outputs.LIMIT + 1] if path.exists() else b""
