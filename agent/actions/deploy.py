"""The deploy action: a release goes to the hosts of a group, wave by wave, and back again where it does not do well.

Repeatable: the plan of waves stands in the control directory, and every host is asked what it has done already.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from pathlib import Path

import msgspec

from agent.actions import environment, onhost
from agent.actions.base import Attempt, Context
from agent.actions.hostlog import DeployLog
from agent.actions.onhost import HostResult, OnHost, Shared
from agent.actions.release import Archives, Commit, Source, read_file
from agent.actions.target import Host, SshHost
from agent.actions.upload import Uploads
from agent.definition import deployment
from agent.definition.deployment import Deployment
from agent.deploy import appspec, lifecycle, waves
from agent.deploy.appspec import AppSpec
from agent.deploy.commands import Standing
from agent.deploy.health import Verdict, judge
from agent.deploy.waves import Pace, Rollout, Target, Wave
from agent.errors import AgentError, DefinitionError, EnvironmentFault, RefusedError
from agent.executors import fleet
from agent.executors.base import Job
from agent.executors.fleet import Fleet
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import Deploy

THREADS = 32  # hosts at once
WAVES = "waves.json"  # in the control directory
LOG = "deploy.log"
MOST_NAMED = 10  # hosts that a message speaks of


class DeployAction:
    """An Action for `model.plan.Deploy`."""

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        """See Action. Raises EnvironmentFault if the release cannot be made, RefusedError if the hosts may not be used."""
        context.permit(attempt)
        work = _work(attempt)
        try:
            chosen = deployment.read({"to": work.to, "strategy": work.strategy, **work.options})
        except DefinitionError as error:
            return _refused(error)
        groups = fleet_of(context)
        found = groups.assign(attempt.id, attempt.execution.id, work.to)
        hosts = [SshHost(host, groups.on(work.to, host)) for host in found]
        log = DeployLog(context.control(attempt) / LOG, context.log)
        try:
            return self._deploy(attempt, context, chosen, hosts, log)
        except DefinitionError as error:
            return _refused(error)
        finally:
            log.close()

    def _deploy(self, attempt: Attempt, context: Context, chosen: Deployment, hosts: Sequence[Host], log: DeployLog) -> Outcome:
        source = source_of(attempt, context)
        shared = _shared(attempt, context, chosen, source, log)
        group = {host.name: OnHost(host, shared) for host in hosts}
        rollout = _rollout(attempt, context, chosen, group, log)
        try:
            outcome = Rolling(group, rollout, shared, context).run()
        finally:
            _each(group.values(), lambda one: one.release())
        resolved = {
            "group": _work(attempt).to,
            "path": shared.base,
            "release": shared.release,
            "hosts": ", ".join(str(host.about) for host in hosts),
        }
        return msgspec.structs.replace(outcome, outputs={**outcome.outputs, "release": shared.release}, resolved=resolved)


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

    def _wave(self, wave: Wave) -> None:
        parts = [self._group[name] for name in wave.hosts if name in self._group]
        for name in set(wave.hosts) - set(self._group):
            self._keep(HostResult(host=name, succeeded=False, message="is not in the group any more"))
        _each(parts, lambda part: self._keep(part.deploy()))
        if wave.bake and self._verdict() is not Verdict.STOP:
            self._watch(wave.bake)

    def _watch(self, bake: timedelta) -> None:
        """Ask for the health of all hosts so far until the time is over; a host that is lost now is a failed one."""
        health = self._shared.options.health
        pause = health.interval.total_seconds() if health else bake.total_seconds()
        end = self._shared.now() + bake
        while self._shared.now() < end and self._verdict() is not Verdict.STOP:
            left = (end - self._shared.now()).total_seconds()
            if self._shared.stop.wait(max(0.0, min(pause, left))):
                return
            if health:
                _each([self._group[name] for name, result in self._results.items() if result.succeeded], self._look_again)

    def _look_again(self, part: OnHost) -> None:
        if wrong := part.check():
            found = self._results[part.host.name]
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

        _each([self._group[name] for name in changed], undo)
        well = [name for name, result in back.items() if result.succeeded]
        ill = [result for result in back.values() if not result.succeeded]
        said = f"; rolled back: {_names(well)}" if well else ""
        return said + (f"; not rolled back: {_told(ill)}" if ill else "")

    def _counted(self) -> str:
        succeeded = sum(result.succeeded for result in self._results.values())
        return f"{succeeded}/{self._rollout.rule.total} hosts"

    def _outputs(self) -> dict[str, str]:
        return {"hosts": ",".join(sorted(name for name, result in self._results.items() if result.succeeded))}


def fleet_of(context: Context) -> Fleet:
    """The host groups. Raises RefusedError if there are none."""
    groups = context.executor("ssh")
    if not isinstance(groups, Fleet):
        raise RefusedError("this agent has no host groups", hint="the operator lists them under [hosts] in pipeline/config.toml")
    return groups


def source_of(attempt: Attempt, context: Context) -> Source:
    """The artifacts of the attempt, or its commit if it takes none. Raises EnvironmentFault."""
    wanted = attempt.action.inputs
    if not wanted:
        return Commit(context.git, attempt.execution.commit)
    missing = [one.name for one in wanted if one.name not in attempt.inputs]
    if missing:
        raise EnvironmentFault(f"artifact {missing[0]} was not produced by any action that ran", hint="was it optional?")
    return Archives(context.artifacts, [(attempt.inputs[one.name].digest, one.path) for one in wanted])


def _shared(attempt: Attempt, context: Context, chosen: Deployment, source: Source, log: DeployLog) -> Shared:
    execution, work = attempt.execution, _work(attempt)
    application = chosen.application or str(execution.pipeline)
    control = context.control(attempt)
    identity = lifecycle.Identity(
        application=application, group=work.to, deployment=attempt.id, commit=execution.commit, revision=source.name
    )
    spec = _spec(source, chosen.appspec)
    return Shared(
        id=attempt.id,
        base=chosen.path or f"/srv/{application}",
        release=source.name,
        options=chosen,
        spec=spec,
        uploads=Uploads(source, control, int(execution.created_at.astimezone(UTC).timestamp())),
        environment=lifecycle.environment(identity),
        label=execution.label,
        commit=execution.commit,
        deadline=attempt.deadline,
        now=context.now,
        stop=context.stop,
        log=log,
        job=lambda host, name, text: _job(attempt, context, host, name, text),
    )


def _spec(source: Source, path: str) -> AppSpec | None:
    if not path:
        return None
    content = read_file(source, path)
    if content is None:
        raise DefinitionError(f"deploy: the revision has no {path}", hint="`appspec` is its path in the artifact, or the commit")
    spec = appspec.parse(path, content)
    appspec.check(spec, path, source.files())
    return spec


def _job(attempt: Attempt, context: Context, host: Host, name: str, text: str) -> Job:
    """A job on one host; its workspace is empty, as the release is there already."""
    if name != attempt.id:
        fleet_of(context).assign(name, attempt.execution.id, _work(attempt).to)  # so that it is cleaned up like the first one
    control = onhost.directory(context.control(attempt), host.name, name)
    workspace = control / "workspace"
    workspace.mkdir(exist_ok=True)
    bare = Job(
        id=fleet.job_id(name, host.about),
        execution=attempt.execution.id,
        labels={"stage": attempt.stage.name, "action": attempt.action.name, "host": host.name},
        script=text,
        workspace=workspace,
        control=control,
        deadline=attempt.deadline if name == attempt.id else max(attempt.deadline, context.now() + timedelta(minutes=10)),
        secrets=context.secrets(attempt),
    )
    values = environment.merged(attempt, host.place(bare), context.environment(attempt), "")
    # The shell of a job has -e; a deployment's script looks at every exit code itself.
    return msgspec.structs.replace(bare, env=values, script=f"set +e\n{text}")


def _rollout(attempt: Attempt, context: Context, chosen: Deployment, group: Mapping[str, OnHost], log: DeployLog) -> Rollout:
    """The waves, decided once: a resumed attempt goes through the same ones."""
    path = context.control(attempt) / WAVES
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Rollout)
    targets: dict[str, Target] = {}
    _each(group.values(), lambda part: targets.update({part.host.name: _target(part, log)}))
    ordered = [targets[name] for name in group]
    found = waves.rollout(_pace(chosen), ordered)
    _write(path, msgspec.json.encode(found))
    return found


def _pace(chosen: Deployment) -> Pace:
    return Pace(
        strategy=chosen.strategy,
        batch=chosen.batch,
        minimum=chosen.minimum_healthy,
        canary=chosen.canary,
        bake=chosen.bake or timedelta(),
        zones=chosen.zones,
    )


def _target(part: OnHost, log: DeployLog) -> Target:
    name, zone = part.host.name, part.host.zone
    try:
        return Target(name=name, zone=zone, standing=_standing(part.probe()))
    except EnvironmentFault as fault:
        log.say(name, fault.message)
        return Target(name=name, zone=zone, standing=waves.Standing.UNHEALTHY)


def _standing(found: Standing) -> waves.Standing:
    if not found.status:
        return waves.Standing.UNKNOWN
    return waves.Standing.OLD if found.status.get("status") == "succeeded" else waves.Standing.UNHEALTHY


def _each(parts: Iterable[OnHost], do: Callable[[OnHost], None]) -> None:
    """Side by side, each host in a thread; one that is slow or dead does not hold up the others."""
    listed = list(parts)
    if not listed:
        return
    with ThreadPoolExecutor(min(THREADS, len(listed)), thread_name_prefix="host") as pool:
        for done in [pool.submit(do, part) for part in listed]:
            done.result()


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


def _work(attempt: Attempt) -> Deploy:
    work = attempt.action.work
    if not isinstance(work, Deploy):
        raise TypeError(f"action {attempt.action.name} is no `deploy`")
    return work


def _refused(error: AgentError) -> Outcome:
    reason = Reason.POLICY if isinstance(error, RefusedError) else Reason.VARIABLE
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    return Outcome(status=Status.FAILED, reason=reason, message=message)


def _told(results: Sequence[HostResult]) -> str:
    shown = "; ".join(f"{result.host}: {result.message}" for result in sorted(results, key=lambda one: one.host)[:MOST_NAMED])
    return shown + (f"; and {len(results) - MOST_NAMED} more" if len(results) > MOST_NAMED else "")


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
