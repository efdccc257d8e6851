"""The deploy action: a release goes to the hosts of a group, wave by wave, and back again where it does not do well.

Repeatable: the plan of waves stands in the control directory, and every host is asked what it has done already.
"""

from collections.abc import Mapping
from datetime import UTC, timedelta
from pathlib import Path

import msgspec

from agent.actions import environment, onhost
from agent.actions.base import Attempt, Context
from agent.actions.fleets import Shifting, choose, untouched
from agent.actions.hostlog import DeployLog
from agent.actions.onhost import OnHost, Shared
from agent.actions.release import Archives, Commit, Source, read_file
from agent.actions.rolling import Rolling, each
from agent.actions.target import Host, SshHost
from agent.actions.upload import Uploads
from agent.definition import deployment
from agent.definition.deployment import Deployment
from agent.deploy import appspec, lifecycle, waves
from agent.deploy.appspec import AppSpec
from agent.deploy.commands import Standing
from agent.deploy.waves import Pace, Rollout, Target
from agent.errors import AgentError, DefinitionError, EnvironmentFault, RefusedError
from agent.executors import fleet
from agent.executors.base import Job
from agent.executors.fleet import Fleet
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import Deploy

WAVES = "waves.json"  # in the control directory
LOG = "deploy.log"


class DeployAction:
    """An Action for `model.plan.Deploy`."""

    def perform(self, attempt: Attempt, context: Context) -> Outcome:
        """See Action. Raises EnvironmentFault if the release cannot be made, RefusedError if the hosts may not be used."""
        context.permit(attempt)
        work = _work(attempt)
        log = DeployLog(context.control(attempt) / LOG, context.log)
        try:
            chosen = deployment.read({"to": work.to, "strategy": work.strategy, **work.options})
            one = _Deployment(attempt, context, chosen, log)
            return one.between(one.groups.fleets(work.to)) if one.groups.fleets(work.to) else one.on(work.to)
        except DefinitionError as error:
            return _refused(error)
        finally:
            log.close()


class _Deployment:
    """One attempt."""

    def __init__(self, attempt: Attempt, context: Context, chosen: Deployment, log: DeployLog) -> None:
        self.groups = fleet_of(context)
        self._attempt = attempt
        self._context = context
        self._chosen = chosen
        self._log = log
        self._source = source_of(attempt, context)

    def on(self, name: str) -> Outcome:
        """To the hosts of a group."""
        if self._chosen.strategy == "blue-green" and not self._chosen.slots:
            raise DefinitionError(
                f"host group {name} has hosts of its own, so blue-green needs two `slots` on each",
                hint="or the operator makes it a group of two `fleets`",
            )
        shared = self._shared(name, self._chosen)
        group = self._group(name, shared)
        rollout = _rollout(self._attempt, self._context, self._chosen, group, self._log)
        try:
            outcome = Rolling(group, rollout, shared, self._context).run()
        finally:
            each(group.values(), lambda one: one.release())
        return _resolved(outcome, name, shared, group)

    def between(self, names: tuple[str, ...]) -> Outcome:
        """To that of two fleets which has no traffic, and then the traffic to it."""
        if self._chosen.strategy != "blue-green" or self._chosen.slots:
            raise DefinitionError(
                f"host group {self._chosen.to} is two fleets", hint="write `strategy: blue-green`, without `slots`"
            )
        switch = self.groups.switch(self._chosen.to)
        fleets = choose(self._context.control(self._attempt), names, switch)
        # What fails on hosts without traffic hurts nobody, and shows there what is wrong.
        alone = self._chosen.model_copy(update={"rollback": False})
        if same := self._is_live(fleets.live, alone):
            return same
        shared = self._shared(fleets.idle, alone)
        group = self._group(fleets.idle, shared)
        everybody = waves.rollout(Pace(strategy="all-at-once"), [Target(name=host) for host in group])
        rolling = Rolling(group, everybody, shared, self._context)
        try:
            outcome = rolling.run()
            if outcome.succeeded:
                outcome = Shifting(fleets, switch, _pace(self._chosen), shared, self._context).run(rolling, outcome)
            else:
                outcome = untouched(outcome, fleets)
        finally:
            each(group.values(), lambda one: one.release())
        return _resolved(outcome, fleets.idle, shared, group)

    def _is_live(self, live: str, chosen: Deployment) -> Outcome | None:
        """What to say if the live fleet runs the release already."""
        shared = self._shared(live, chosen)
        parts = [OnHost(SshHost(host, self.groups.on(live, host)), shared) for host in self.groups.hosts(live)]
        running: list[bool] = []
        each(parts, lambda part: running.append(part.runs_already()))
        if not all(running):
            return None
        message = f"nothing to do: {live} is live and runs this revision already"
        return Outcome(status=Status.SUCCEEDED, message=message, outputs={"release": shared.release})

    def _shared(self, name: str, chosen: Deployment) -> Shared:
        return _shared(self._attempt, self._context, name, chosen, self._source, self._log)

    def _group(self, name: str, shared: Shared) -> dict[str, OnHost]:
        found = self.groups.assign(self._attempt.id, self._attempt.execution.id, name)
        hosts = [SshHost(host, self.groups.on(name, host)) for host in found]
        return {host.name: OnHost(host, shared) for host in hosts}


def _resolved(outcome: Outcome, name: str, shared: Shared, group: Mapping[str, OnHost]) -> Outcome:
    resolved = {
        "group": name,
        "path": shared.base,
        "release": shared.release,
        "hosts": ", ".join(str(part.host.about) for part in group.values()),
    }
    return msgspec.structs.replace(outcome, outputs={**outcome.outputs, "release": shared.release}, resolved=resolved)


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


def _shared(attempt: Attempt, context: Context, name: str, chosen: Deployment, source: Source, log: DeployLog) -> Shared:
    execution, group = attempt.execution, name
    application = chosen.application or str(execution.pipeline)
    control = context.control(attempt)
    identity = lifecycle.Identity(
        application=application, group=group, deployment=attempt.id, commit=execution.commit, revision=source.name
    )
    spec = _spec(source, chosen.appspec)
    return Shared(
        id=attempt.id,
        base=chosen.path or f"/srv/{application}",
        release=source.name,
        options=chosen,
        spec=spec,
        uploads=Uploads(source, control, int(execution.created_at.astimezone(UTC).timestamp()), chosen.shared),
        environment=lifecycle.environment(identity),
        label=execution.label,
        commit=execution.commit,
        deadline=attempt.deadline,
        now=context.now,
        stop=context.stop,
        log=log,
        balancer=fleet_of(context).balancer(group),
        job=lambda host, name, text: _job(attempt, context, group, host, name, text),
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


def _job(attempt: Attempt, context: Context, group: str, host: Host, name: str, text: str) -> Job:
    """A job on one host; its workspace is empty, as the release is there already."""
    if name != attempt.id:
        fleet_of(context).assign(name, attempt.execution.id, group)  # so that it is cleaned up like the first one
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
    targets = {part.host.name: Target(name=part.host.name, zone=part.host.zone) for part in group.values()}
    found = waves.rollout(_pace(chosen), tuple(targets.values()))
    if len(found.waves) > 1:  # else they are asked when they are locked
        each(group.values(), lambda part: targets.update({part.host.name: _target(part, log)}))
        found = waves.rollout(_pace(chosen), tuple(targets.values()))
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
