"""A deployment on one host: lock, release, lifecycle, result; and the way back by the same code. Each step may be done again."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from shlex import quote
from threading import Event
from typing import NamedTuple

import msgspec

from agent.actions.hostlog import DeployLog
from agent.actions.target import Host, Said
from agent.actions.upload import Upload, Uploads
from agent.actions.webcheck import ask
from agent.definition.deployment import Deployment, HealthCheck
from agent.deploy import appspec, commands
from agent.deploy.appspec import AppSpec, AppSpecError
from agent.deploy.commands import Standing
from agent.deploy.script import MARK, UNWELL, WATCHED, HostPlan, health_script, is_brief, script
from agent.errors import AgentError, EnvironmentFault
from agent.executors.balancer import Balancer
from agent.executors.base import Ending, Job
from agent.executors.ssh import STARTED
from agent.executors.sshclient import Unreachable
from agent.executors.supervisor import OUTPUT
from agent.model.outcome import Reason
from agent.model.value import Value

LEASE = timedelta(minutes=10)  # of a lock beyond the deadline of the attempt
ROLLBACK = "-rollback"  # behind the id of a deployment: its way back
PAUSE = 1.0  # seconds between two looks at a lock that another has
UPLOAD_TIMEOUT = 120.0  # seconds without progress


class HostResult(Value, frozen=True, kw_only=True):
    """How a host came out. `changed`: something happened there that a rollback must undo. `former`: what it ran before."""

    host: str
    succeeded: bool
    message: str = ""
    changed: bool = False
    former: str = ""
    unchanged: bool = False  # it ran the release already
    stopped: bool = False


class Shared(NamedTuple):
    """What all hosts of a deployment have in common."""

    id: str
    base: str
    release: str
    options: Deployment
    spec: AppSpec | None
    uploads: Uploads
    environment: Mapping[str, str]
    label: str
    commit: str
    deadline: datetime
    now: Callable[[], datetime]
    stop: Event
    log: DeployLog
    balancer: Balancer | None
    job: Callable[[Host, str, str], Job]  # host, id, script


class OnHost:
    """One host's part."""

    def __init__(self, host: Host, shared: Shared) -> None:
        self.host = host
        self._shared = shared

    def probe(self, deployment: str = "") -> Standing:
        """What is there. Raises EnvironmentFault."""
        said = self.host.call(commands.probe(self._shared.base, deployment or self._shared.id))
        if said.code:
            raise EnvironmentFault(f"{self.host.name} cannot be asked: {said.last}")
        return commands.parse_probe(said.output)

    def deploy(self) -> HostResult:
        """Put the release there. Never raises AgentError: what goes wrong is the result."""
        try:
            return self._deploy()
        except AgentError as error:
            return self._failed(_told(error))

    def roll_back(self, former: str) -> HostResult:
        """Run the former release again. Never raises AgentError."""
        try:
            if not former:
                return self._failed("nothing to go back to: it was the first deployment")
            standing = self._locked()
            last = self._last_spec(standing)
            plan = self._plan(f"{self._shared.id}{ROLLBACK}", former, self._spec_there(former), last, standing.last)
            return self._run(plan, standing)
        except AgentError as error:
            return self._failed(_told(error))

    def check(self) -> str:
        """What is wrong with its health now; empty if it is well."""
        shared = self._shared
        health = shared.options.health
        if health and health.by == "agent":
            return self._ask(health, WATCHED)
        text = health_script(shared.options, shared.environment, shared.base)
        limit = WATCHED * (health.timeout + health.interval).total_seconds() + 60 if health else 60
        try:
            said = self.host.call(text, timeout=limit)
        except EnvironmentFault as fault:
            return fault.message
        told = next((line.removeprefix(UNWELL) for line in said.output.split("\n") if line.startswith(UNWELL)), said.last)
        return told or "health check failed" if said.code else ""

    def runs_already(self) -> bool:
        """Whether it runs the release, as far as it can be asked."""
        try:
            return _runs(self.probe(), self._shared.release)
        except EnvironmentFault:
            return False

    def lost(self) -> None:
        """Let the host remember that what it runs is not well, so that the same revision is no longer nothing to do."""
        try:
            self.host.call(commands.unwell(self._shared.base, self._shared.id))
        except EnvironmentFault as fault:
            self._shared.log.say(self.host.name, fault.message)

    def release(self) -> None:
        """Give the lock back, and forget the jobs; a host that is away loses the lock when its lease is over."""
        try:
            self.host.call(commands.unlock(self._shared.base, self._shared.id))
        except EnvironmentFault as fault:
            self._shared.log.say(self.host.name, f"its lock stays until its lease is over: {fault.message}")

    def _deploy(self) -> HostResult:
        shared = self._shared
        standing = self._locked()
        if not standing.result and _runs(standing, shared.release):
            shared.log.say(self.host.name, f"runs {shared.release[:14]} already, nothing to do")
            return HostResult(host=self.host.name, succeeded=True, unchanged=True, former=standing.current)
        last = self._last_spec(standing)
        plan = self._plan(shared.id, shared.release, shared.spec, last, standing.last)
        if standing.result or shared.release in standing.releases:
            return self._run(plan, standing)
        if not is_brief(plan):
            with self._staged(plan):
                self._upload(standing)
        elif shared.balancer:
            self._upload(standing)
        else:
            return self._looked_at(self._at_once(plan, standing.current, lambda text: self._upload(standing, text)))
        return self._run(plan, standing)

    @contextmanager
    def _staged(self, plan: HostPlan) -> Iterator[None]:
        """Meanwhile the job goes there, too. If it cannot, whoever performs it will say why."""

        def stage() -> None:
            with suppress(EnvironmentFault):
                self.host.stage(self._job(plan))

        with ThreadPoolExecutor(1, thread_name_prefix="stage") as pool:
            staged = pool.submit(stage)
            yield
            staged.result()

    def _locked(self) -> Standing:
        """Take the lock, waiting for another's end for a while; what is there then."""
        shared = self._shared
        end = shared.now() + shared.options.lock_timeout
        while True:
            seconds = int((shared.deadline - shared.now() + LEASE).total_seconds())
            said = self.host.call(commands.lock(shared.base, shared.id, shared.label, max(60, seconds)))
            if said.code == 0:
                return commands.parse_probe(said.output)
            if said.code != commands.HELD:
                raise EnvironmentFault(f"{shared.base} cannot be prepared: {said.last}")
            if shared.now() >= end or shared.stop.wait(PAUSE):
                raise EnvironmentFault(f"another deployment is under way: the lock is {said.last}")

    def _upload(self, standing: Standing, then: str = "") -> Said:
        """Put the release there, and do `then`, a script that ends with 0 or 1. Raises EnvironmentFault if it is not there."""
        shared, options = self._shared, self._shared.options
        same = (
            standing.status.get("shared", "") == ":".join(options.shared) and standing.status.get("release") == standing.current
        )
        upload = shared.uploads.get(standing.current if same else "")
        said = self._put(upload, then)
        if upload.former and said.code == commands.UNLIKE:
            shared.log.say(self.host.name, f"{upload.former[:14]} is not what it was there: all of the release travels")
            upload = shared.uploads.get("")
            said = self._put(upload, then)
        if said.code > bool(then):
            raise EnvironmentFault(f"the release cannot be put there: {said.last}")
        shared.log.say(self.host.name, _travelled(upload))
        return said

    def _put(self, upload: Upload, then: str) -> Said:
        text = commands.receive(self._shared.base, self._shared.release, upload.former, self._shared.options.shared)
        return self.host.call(f"{text}{then}", upload.archive.chunks, UPLOAD_TIMEOUT)

    def _ask(self, health: HealthCheck, tries: int) -> str:
        """What is wrong at the last of so many times; empty as soon as it is well."""
        wrong = ""
        for number in range(tries):
            if number and self._shared.stop.wait(health.interval.total_seconds()):
                break
            wrong = ask(health.url, self.host.about, health.timeout.total_seconds())
            if not wrong:
                break
        return wrong

    def _run(self, plan: HostPlan, standing: Standing) -> HostResult:
        """With a balancer the host has no traffic meanwhile, and gets it back only if it is well.

        What has ended there already, when nobody could hear of it, is told and not done again.
        """
        balancer, is_back = self._shared.balancer, plan.deployment != self._shared.id
        stop = Event() if is_back else self._shared.stop
        known = (self.probe(plan.deployment) if is_back else standing).result
        if balancer and not known:
            if wrong := self._aside(plan.deployment, "BeforeBlockTraffic", plan.last_spec, plan.last):
                return self._failed(wrong)
            self._shared.log.say(self.host.name, "out of the load balancer")
            balancer.block(self.host.about, stop)
        result = self._looked_at(self._known(plan, known) if known else self._install(plan, standing.current))
        if balancer and result.succeeded:
            try:
                balancer.allow(self.host.about, stop)
            except EnvironmentFault as fault:
                return self._unwell(result, fault.message)
            self._shared.log.say(self.host.name, "in the load balancer")
            if wrong := self._aside(plan.deployment, "AfterAllowTraffic", plan.spec, plan.release):
                return self._unwell(result, wrong)
        return result

    def _looked_at(self, result: HostResult) -> HostResult:
        """By the agent, if that is who asks for the health."""
        health = self._shared.options.health
        if result.succeeded and health and health.by == "agent" and (wrong := self._ask(health, health.retries)):
            return self._unwell(result, f"health check failed: {wrong}")
        return result

    def _unwell(self, result: HostResult, message: str) -> HostResult:
        self.lost()
        return msgspec.structs.replace(result, succeeded=False, message=message)

    def _aside(self, deployment: str, event: str, spec: AppSpec | None, release: str) -> str:
        """Run the hooks of an event around the traffic, if the appspec has any; what went wrong."""
        if not spec or not spec.hooks.get(event):
            return ""
        name = f"{deployment}-{event}"
        plan = self._plan(name, release, spec, None, "")
        said = self._perform(msgspec.structs.replace(plan, only=event, last=release, last_spec=spec))
        return "" if said.succeeded else said.message

    def _plan(self, deployment: str, release: str, spec: AppSpec | None, last: AppSpec | None, former: str) -> HostPlan:
        shared = self._shared
        is_back = ROLLBACK in deployment
        return HostPlan(
            base=shared.base,
            release=release,
            deployment=deployment,
            options=shared.options,
            environment={**shared.environment, "DEPLOYMENT_ID": deployment},
            label=f"{shared.label} rolled back" if is_back else shared.label,
            commit="" if is_back else shared.commit,
            spec=spec,
            last=former,
            last_spec=last,
            traffic=shared.balancer is not None,
        )

    def _known(self, plan: HostPlan, result: Mapping[str, str]) -> HostResult:
        """What came of a plan that has ended; the log of its job may not have been read to its end."""
        began = not is_brief(plan) and (self._job(plan).control / STARTED).exists()
        return self._perform(plan) if began else self._result(result, "")

    def _install(self, plan: HostPlan, former: str) -> HostResult:
        return self._at_once(plan, former, self.host.call) if is_brief(plan) else self._perform(plan, former)

    def _at_once(self, plan: HostPlan, former: str, call: Callable[[str], Said]) -> HostResult:
        """Run a plan that needs no job."""
        shared = self._shared
        if ROLLBACK not in plan.deployment and (shared.stop.is_set() or shared.now() >= shared.deadline):
            return self._failed("was stopped", former=former, stopped=True)
        try:
            said = call(script(plan))
        except EnvironmentFault as fault:  # who lost the connection cannot know whether it was done
            return self._failed(_told(fault), changed=isinstance(fault, Unreachable), former=former)
        _, _, result = said.output.rpartition(f"{MARK}\n")
        return self._result(commands.parse_result(result), said.last or f"ended with exit code {said.code}", former=former)

    def _perform(self, plan: HostPlan, former: str = "") -> HostResult:
        """Run a plan as a job; or only tell what came of it, where it has ended."""
        shared, deployment = self._shared, plan.deployment
        sink = shared.log.of(self.host.name, deployment.removeprefix(shared.id).removeprefix("-"))
        job = self._job(plan)
        try:
            ending = self.host.perform(job, sink, Event() if ROLLBACK in deployment else shared.stop)
            sink.finish()
            return self._came_out(ending, sink.last, deployment, former, _put_out(job))
        except EnvironmentFault as fault:  # a host that died may have been changed before
            return self._failed(_told(fault), changed=(job.control / STARTED).exists(), former=former)

    def _job(self, plan: HostPlan) -> Job:
        return self._shared.job(self.host, plan.deployment, script(plan))

    def _came_out(self, ending: Ending, last: str, deployment: str, former: str, said: str) -> HostResult:
        if ending.reason in {Reason.STOPPED, Reason.TIMEOUT}:
            return self._failed(ending.message, changed=True, former=former, stopped=True)
        fallback = ending.message or last or f"ended with exit code {ending.exit_code}"
        return self._result(commands.parse_result(said) or self.probe(deployment).result, fallback, former=former)

    def _last_spec(self, standing: Standing) -> AppSpec | None:
        """That of the revision whose stop scripts are to run; one that cannot be read must not block the new one."""
        if not standing.appspec:
            return None
        try:
            return appspec.parse(self._shared.options.appspec or "appspec.yml", standing.appspec.encode())
        except AppSpecError as error:
            self._shared.log.say(self.host.name, f"the former revision's appspec is left out: {error.message.splitlines()[0]}")
            return None

    def _spec_there(self, release: str) -> AppSpec | None:
        path = self._shared.options.appspec
        if not path:
            return None
        said = self.host.call(f"cat {quote(f'{self._shared.base}/releases/{release}/{path}')}")
        if said.code:
            raise EnvironmentFault(f"the former revision has no {path}")
        return appspec.parse(path, said.output.encode())

    def _result(self, found: Mapping[str, str], fallback: str, former: str = "") -> HostResult:
        if not found:
            return self._failed(fallback, changed=True, former=former)
        return HostResult(
            host=self.host.name,
            succeeded=found.get("status") == "succeeded",
            message=found.get("message", ""),
            changed=found.get("changed") == "1",
            former=found.get("former", ""),
        )

    def _failed(self, message: str, *, changed: bool = False, former: str = "", stopped: bool = False) -> HostResult:
        return HostResult(host=self.host.name, succeeded=False, message=message, changed=changed, former=former, stopped=stopped)


def _runs(standing: Standing, release: str) -> bool:
    told = standing.status
    return standing.current == release == told.get("release") and told.get("status") == "succeeded"


def _travelled(upload: Upload) -> str:
    what = f"{upload.files} files, {upload.archive.size / 1e6:.1f} MB"
    return f"took {what} over {upload.former[:14]}" if upload.former else f"took {what}"


def _put_out(job: Job) -> str:
    """What the script has said of itself as the last thing, if that has come."""
    path = job.control / OUTPUT
    return path.read_text(errors="replace") if path.exists() else ""


def _told(error: AgentError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def directory(control: Path, host: str, job: str) -> Path:
    """The control directory of a job on one host."""
    place = control / "hosts" / host.replace("/", "_") / job
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place
