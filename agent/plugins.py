"""Everything that can be plugged in, by group and name: one table of what is built in, and entry points for others.

Nothing is imported before it is asked for by name. Entry points (`git_pipeline.<group>`) are looked at only for a name that is
not built in: finding them costs more than a push, and a foreign package never takes the place of what is ours.
"""

import importlib
from functools import cache
from typing import Any

from agent.errors import RefusedError

BUILTIN: dict[str, dict[str, str]] = {
    "actions": {  # by the kind of their work, else by the name after `uses:`
        "cloudformation": "agent.actions.aws.cloudformation:CloudFormationAction",
        "codebuild": "agent.actions.aws.codebuild:CodeBuildAction",
        "codedeploy": "agent.actions.aws.codedeploy:CodeDeployAction",
        "deploy": "agent.actions.deploy:DeployAction",
        "ecs": "agent.actions.aws.ecs:EcsAction",
        "hosts": "agent.actions.hosts:HostsAction",
        "http": "agent.actions.http:HttpAction",
        "image": "agent.actions.image:ImageAction",
        "jenkins": "agent.actions.jenkins:JenkinsAction",
        "lambda": "agent.actions.aws.lambda_:LambdaAction",
        "lambda-invoke": "agent.actions.aws.invoke:InvokeAction",
        "notify": "agent.actions.notify:NotifyAction",
        "pipeline": "agent.actions.pipeline:PipelineAction",
        "run": "agent.actions.run:RunAction",
        "s3": "agent.actions.aws.s3:S3Action",
        "step-functions": "agent.actions.aws.stepfunctions:StepFunctionsAction",
    },
    "rules": {  # of conditions; `variable`, `window` and `command` are not plugged in
        "alarm": "agent.actions.aws.alarm:AlarmRule",
        "lambda": "agent.actions.aws.invoke:InvokeAction",
    },
    "executors": {
        "docker": "agent.executors.docker:DockerExecutor",
        "local": "agent.executors.local:LocalExecutor",
        "ssh": "agent.executors.fleet:Fleet",
    },
    "artifacts": {
        "local": "agent.artifacts.local:LocalStore",
        "s3": "agent.artifacts.s3:S3Store",
    },
    "secrets": {
        "environment": "agent.secrets.base:EnvironmentSource",
        "file": "agent.secrets.base:FileSource",
        "secretsmanager": "agent.secrets.aws:ManagerSource",
        "ssm": "agent.secrets.aws:ParameterSource",
    },
    "notifiers": {  # by the key of [[notify]] or [[status]] that names the destination
        "bitbucket": "agent.notify.forges:Bitbucket",
        "command": "agent.notify.command:CommandNotifier",
        "eventbridge": "agent.notify.eventbridge:EventBridgeNotifier",
        "github": "agent.notify.forges:GitHub",
        "gitlab": "agent.notify.forges:GitLab",
        "mail": "agent.notify.mail:MailNotifier",
        "slack": "agent.notify.slack:SlackNotifier",
        "sns": "agent.notify.sns:SnsNotifier",
        "webhook": "agent.notify.webhook:WebhookNotifier",
    },
}
KINDS = frozenset({"deploy", "hosts", "run"})  # actions that have a key of their own, and cannot stand after `uses:`


@cache
def load(group: str, name: str) -> Any:  # noqa: ANN401 - each group has its own contract
    """The class of this name. Raises RefusedError, with the names there are, for one that nobody brings or that is broken."""
    target = BUILTIN[group].get(name) or _foreign(group).get(name)
    if target is None:
        raise RefusedError(f"this agent has no {group[:-1]} {name}", hint=f"it has {', '.join(names(group)) or 'none'}")
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a plug-in's module may raise anything
        raise RefusedError(f"the {group[:-1]} {name} cannot be loaded: {error}", hint=f"it should be {target}") from error


def has(group: str, name: str) -> bool:
    """Whether there is something of this name; loads nothing."""
    return name in BUILTIN[group] or name in _foreign(group)


def names(group: str) -> tuple[str, ...]:
    """All names of a group, sorted."""
    return tuple(sorted({*BUILTIN[group], *_foreign(group)}))


@cache
def _foreign(group: str) -> dict[str, str]:
    from importlib.metadata import entry_points

    found = sorted(entry_points(group=f"git_pipeline.{group}"), key=lambda point: (point.name, point.value))
    return {point.name: point.value for point in found}
