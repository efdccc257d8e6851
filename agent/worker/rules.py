"""Evaluates the rules of conditions: those of values and the time at once, all others as jobs like any other."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from threading import Event as Stop

from agent.actions.base import Attempt
from agent.errors import EnvironmentFault
from agent.execution.commands import EvaluateRule
from agent.execution.conditions import PROVIDERS, Answer, Verdict
from agent.execution.events import ActionEnded, Event, Gate, RuleEnded, RuleStarting
from agent.model.ids import ActionName, ExecutionId, attempt_id
from agent.model.outcome import Outcome, Reason, Status
from agent.model.plan import Condition, Plan, PlannedAction, PlannedStage, Rule, Run, Use, Work
from agent.plan.variables import Unresolved, resolve_rule
from agent.worker.lookup import Lookup
from agent.worker.messages import Fact, Message
from agent.worker.performer import Performer
from agent.worker.pool import Pool
from agent.worker.running import Running

Post = Callable[[Message], None]


class Rules:
    """Remembers nothing but when rules that wait want to be asked again."""

    def __init__(self, lookup: Lookup, performer: Performer, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._lookup = lookup
        self._performer = performer
        self._pool = pool
        self._clock = clock
        self._waiting: dict[tuple[ExecutionId, str, Gate, int], datetime] = {}
        self._started: set[str] = set()  # jobs whose end is not journalled: by now they may have ended

    def retry_at(self, execution: ExecutionId, command: EvaluateRule) -> datetime | None:
        """When a waiting rule of an execution wants to be asked again; None if it does not wait."""
        return self._waiting.get((execution, command.stage, command.gate, command.index))

    def evaluate(self, running: Running, command: EvaluateRule, post: Post) -> Iterator[Event]:
        """The events to journal now; what takes time posts its end."""
        key = (running.execution.id, command.stage, command.gate, command.index)
        state = running.state.stages[command.stage].gates.get(command.gate)
        now = self._clock()
        if not state or command.index not in state.started:
            yield RuleStarting(at=now, stage=command.stage, gate=command.gate, index=command.index, deadline=command.deadline)
            return  # asked again with the intent in the journal
        if self._waiting.get(key, now) > now:
            return
        self._waiting.pop(key, None)
        verdict = self._judge(running, command, post)
        if verdict is None:
            return
        if verdict.answer is Answer.WAIT:
            self._waiting[key] = verdict.retry_at or now + timedelta(minutes=1)
            return
        yield _ended(command, verdict, self._clock())

    def is_evaluating(self, running: Running) -> bool:
        """Whether a rule of the execution runs, and does not merely wait for its time."""
        return any(
            (running.execution.id, name, gate, index) not in self._waiting
            for name, stage in running.state.stages.items()
            if stage.is_held
            for gate, found in stage.gates.items()
            for index in found.pending
        )

    def forget(self, running: Running, event: RuleEnded) -> None:
        """A rule ended, perhaps by a stop or a deadline: end its job, and ask it no more."""
        self._waiting.pop((running.execution.id, event.stage, event.gate, event.index), None)
        job = _job(running, event)
        self._started.discard(job)
        self._pool.stop(job)
        rule = rule_of(running.stage(event.stage), event.gate, event.index)
        if rule.provider not in PROVIDERS:
            self._pool.later(partial(self._discard, running, job, _work(rule)))

    def jobs(self, running: Running) -> set[str]:
        """The jobs of the rules that are being evaluated."""
        return {
            attempt_id(running.execution.id, name, f"{gate}[{index}]", stage.attempt)
            for name, stage in running.state.stages.items()
            if stage.is_held
            for gate, found in stage.gates.items()
            for index in found.pending
        }

    def _discard(self, running: Running, job: str, work: Work) -> None:
        """Once it does not run any more: one that was stopped tells a second time when it has ended."""
        if not self._pool.is_running(job):
            self._performer.discard(running.execution, job, work)

    def _judge(self, running: Running, command: EvaluateRule, post: Post) -> Verdict | None:
        rule = rule_of(running.stage(command.stage), command.gate, command.index)
        try:
            values = self._lookup.scope(running, running.state.stages[command.stage].attempt)
        except EnvironmentFault as fault:  # such as a commit that is gone
            return Verdict(answer=Answer.FAILED, message=str(fault), errored=True)
        found = resolve_rule(rule, values)
        if isinstance(found, Unresolved):
            return Verdict(answer=Answer.FAILED, message=found.message, errored=True)
        provider = PROVIDERS.get(rule.provider)
        if provider is None:
            self._start(running, command, found.rule, post)
            return None
        return provider.evaluate(found.rule.options, {}, self._clock())

    def _start(self, running: Running, command: EvaluateRule, rule: Rule, post: Post) -> None:
        """Do the work of a rule as a job of its own; found again by its name after a crash."""
        number = running.state.stages[command.stage].attempt
        job = _job(running, command)
        if job in self._started:
            return
        attempt = Attempt(
            id=job, execution=running.execution, plan=running.plan, stage=running.stage(command.stage),
            action=PlannedAction(name=_name(command), work=_work(rule), env=_environment(rule)), number=number,
            deadline=command.deadline, inputs=self._lookup.inputs(running), resumed=False,
        )  # fmt: skip

        def done(event: ActionEnded) -> None:
            ended = _ended(command, _said(event.outcome), self._clock())
            post(Fact(execution=running.execution.id, event=ended))  # what it left is removed when this is journalled

        work: Callable[[Stop], ActionEnded] = self._performer.perform(attempt, group=_group(rule))
        self._pool.start(job, work, done)
        self._started.add(job)


def _name(rule: EvaluateRule | RuleEnded) -> ActionName:
    return ActionName(f"{rule.gate}[{rule.index}]")


def _job(running: Running, rule: EvaluateRule | RuleEnded) -> str:
    """The name of the job of a rule, for each attempt of the stage another."""
    return attempt_id(running.execution.id, rule.stage, _name(rule), running.state.stages[rule.stage].attempt)


def scripts(plan: Plan) -> tuple[Run, ...]:
    """What the `command` rules of a plan run."""
    conditions = (one for stage in plan.stages for one in (stage.before_entry, stage.on_success, stage.on_failure.condition))
    return tuple(_script(rule) for one in conditions if one for rule in one.rules if rule.provider == "command")


def rule_of(stage: PlannedStage, gate: Gate, index: int) -> Rule:
    """The rule that an event or a command speaks of."""
    conditions: dict[Gate, Condition | None] = {
        Gate.BEFORE_ENTRY: stage.before_entry,
        Gate.ON_SUCCESS: stage.on_success,
        Gate.ON_FAILURE: stage.on_failure.condition,
    }
    condition = conditions[gate]
    assert condition is not None, f"stage {stage.name} has no condition {gate}"
    return condition.rules[index]


def _ended(command: EvaluateRule, verdict: Verdict, now: datetime) -> RuleEnded:
    status = Status.SUCCEEDED if verdict.answer is Answer.PASSED else Status.FAILED
    return RuleEnded(
        at=now, stage=command.stage, gate=command.gate, index=command.index, status=status,
        message=verdict.message, errored=verdict.errored,
    )  # fmt: skip


def _said(outcome: Outcome) -> Verdict:
    if outcome.succeeded:
        return Verdict(answer=Answer.PASSED, message=outcome.message or "exit code 0")
    return Verdict(answer=Answer.FAILED, message=outcome.message, errored=outcome.reason is not Reason.EXIT)


def _group(rule: Rule) -> str:
    """The group of plug-ins that the work of a rule is from: a script is an action."""
    return "actions" if rule.provider == "command" else "rules"


def _work(rule: Rule) -> Work:
    return _script(rule) if rule.provider == "command" else Use(provider=rule.provider, options=rule.options)


def _script(rule: Rule) -> Run:
    options = rule.options
    return Run(
        script=str(options.get("run", "")), image=str(options.get("image") or ""), runner=str(options.get("runner") or "docker"),
        shell=str(options.get("shell") or "sh"), network=bool(options.get("network", False)),
    )  # fmt: skip


def _environment(rule: Rule) -> dict[str, str]:
    given = rule.options.get("env")
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
