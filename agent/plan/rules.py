"""Conditions of a stage as values of the plan (codepipeline.md 2.4)."""

from collections.abc import Mapping

from agent.definition import document
from agent.model import plan as model
from agent.plan.work import image_of, runner_of


def gate(
    condition: document.Condition | None,
    defaults: document.Defaults,
    env: Mapping[str, str],
    result: model.ConditionResult = model.ConditionResult.FAIL,
) -> model.Condition | None:
    """A condition; `result` is what happens where the file does not say it, `env` what its commands get beside their own."""
    if condition is None:
        return None
    rules = tuple(_rule(rule, defaults, env) for rule in condition.every_rule())
    return model.Condition(rules=rules, result=model.ConditionResult(condition.result) if condition.result else result)


def on_failure(stage: document.Stage, defaults: document.Defaults, env: Mapping[str, str]) -> model.OnFailure:
    """What follows when a stage fails. A condition there asks for its result, most often a rollback, only if its rules hold."""
    condition = gate(stage.conditions.on_failure, defaults, env, model.ConditionResult.ROLLBACK)
    result = condition.result if condition else None
    return model.OnFailure(
        retry=stage.on_failure.retry or int(result is model.ConditionResult.RETRY),
        retry_mode=model.RetryMode(stage.on_failure.retry_mode),
        rollback=stage.on_failure.rollback or result is model.ConditionResult.ROLLBACK,
        condition=condition,
    )


def _rule(rule: document.Rule, defaults: document.Defaults, env: Mapping[str, str]) -> model.Rule:
    provider, options = _provider(rule, defaults, env)
    return model.Rule(provider=provider, options=options, timeout=rule.timeout, name=rule.name or "")


def _provider(rule: document.Rule, defaults: document.Defaults, env: Mapping[str, str]) -> tuple[str, dict[str, object]]:
    if rule.variable is not None:
        return "variable", rule.variable.model_dump()
    if rule.window is not None:
        return "window", rule.window.model_dump()
    if rule.command is not None:
        return "command", _command(rule.command, defaults, env)
    return rule.uses or "", dict(rule.options)


def _command(command: document.CommandRule, defaults: document.Defaults, env: Mapping[str, str]) -> dict[str, object]:
    runner = runner_of(command.runner, "", defaults)
    return command.model_dump() | {
        "runner": runner,
        "image": image_of(command.image, runner, defaults),
        "shell": command.shell or defaults.shell or "sh",
        "env": {**env, **command.env},
    }
