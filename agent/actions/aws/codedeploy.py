"""`codedeploy`: a revision by way of S3 to a deployment group of CodeDeploy (codepipeline.md 1.6, row 60)."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from agent.actions import revision
from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Work, failed, succeeded
from agent.aws.session import AwsFault, Clients, Service
from agent.definition.values import Flag, Text
from agent.model.outcome import Outcome

_ENDED = frozenset({"Succeeded", "Failed", "Stopped"})
_SKEW = timedelta(hours=1)  # of our clock
_NAMED = 100  # targets that are asked for at once, and the most that a message is made of


class CodeDeployOptions(AwsOptions):
    """What is deployed where, and how."""

    application: Text = Field(description="The name of the application.")
    group: Text = Field(description="The name of the deployment group.")
    bucket: Text = Field(description="The bucket by way of which the revision goes.")
    path: Text = Field(
        default="", description="The directory with appspec.yml, in the artifacts or the commit. Default: the top."
    )
    config: Text = Field(default="", description="The deployment configuration. Default: that of the group.")
    file_exists_behavior: Literal["DISALLOW", "OVERWRITE", "RETAIN"] = Field(
        default="DISALLOW", description="What becomes of files that stand where the revision installs others."
    )
    rollback: Flag = Field(default=True, description="Whether CodeDeploy goes back where it fails or is stopped.")


class CodeDeployAction(AwsAction[CodeDeployOptions]):
    """A Provider."""

    Options = CodeDeployOptions
    outputs = ("deployment",)

    def act(self, work: Work, options: CodeDeployOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        deploy = aws("codedeploy")
        ended = work.follow(
            lambda may_run: (_found(work, deploy, options) if may_run else "") or _create(work, options, aws),
            lambda identity: _look(work, deploy, identity, aws.region),
            lambda identity: deploy("stop_deployment", deploymentId=identity, autoRollbackEnabled=options.rollback),
        )
        identity, link = ended["deploymentId"], _link(ended["deploymentId"], aws.region)
        if ended["status"] == "Succeeded":
            return succeeded(f"{identity}: {_counted(ended)}", link, {"deployment": identity})
        told = ended.get("errorInformation", {})
        why = f": {told['message']} ({told.get('code', '?')})" if told.get("message") else ""
        back = ended.get("rollbackInfo", {}).get("rollbackDeploymentId")
        said = f"{identity} {ended['status'].lower()}{why}; {_counted(ended)}" + (f"; rolled back by {back}" if back else "")
        for line in _broken_targets(deploy, identity):
            work.say(line)
        return failed(said, link, {"deployment": identity})


def _found(work: Work, deploy: Service, options: CodeDeployOptions) -> str:
    """CodeDeploy takes no token, so a deployment of this attempt is known by its description."""
    group = {"applicationName": options.application, "deploymentGroupName": options.group}
    since = {"start": work.attempt.execution.created_at - _SKEW}
    for identity in deploy.pages("list_deployments", "deployments", createTimeRange=since, **group):
        if work.token in deploy("get_deployment", deploymentId=identity)["deploymentInfo"].get("description", ""):
            return str(identity)
    return ""


def _create(work: Work, options: CodeDeployOptions, aws: Clients) -> str:
    key = revision.uploaded(work, options.path, aws("s3"), options.bucket)
    more = {"deploymentConfigName": options.config} if options.config else {}
    answer = aws("codedeploy")(
        "create_deployment",
        applicationName=options.application,
        deploymentGroupName=options.group,
        description=f"{work.attempt.execution.label} {work.token}",
        revision={"revisionType": "S3", "s3Location": {"bucket": options.bucket, "key": key, "bundleType": "zip"}},
        fileExistsBehavior=options.file_exists_behavior,
        autoRollbackConfiguration={
            "enabled": options.rollback,
            "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"] if options.rollback else [],
        },
        **more,
    )
    identity: str = answer["deploymentId"]
    return identity


def _look(work: Work, deploy: Service, identity: str, region: str) -> dict[str, Any] | None:
    found: dict[str, Any] = deploy("get_deployment", deploymentId=identity)["deploymentInfo"]
    work.once("link", lambda: _link(identity, region))
    work.say(f"{identity}: {found['status']}, {_counted(found)}")
    return found if found["status"] in _ENDED else None


def _counted(found: dict[str, Any]) -> str:
    counts = {name: count for name, count in found.get("deploymentOverview", {}).items() if count}
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "no targets yet"


def _broken_targets(deploy: Service, identity: str) -> list[str]:
    """What went wrong on which target, as far as CodeDeploy tells it."""
    try:
        names = list(deploy.pages("list_deployment_targets", "targetIds", deploymentId=identity))[:_NAMED]
        found = deploy("batch_get_deployment_targets", deploymentId=identity, targetIds=names[:25]) if names else {}
    except AwsFault as fault:
        return [f"the targets cannot be asked for: {fault.message}"]
    lines = []
    for target in found.get("deploymentTargets", ()):
        about: dict[str, Any] = next((value for key, value in target.items() if key.endswith("Target")), {})
        for event in about.get("lifecycleEvents", ()):
            if event.get("status") == "Failed":
                told = event.get("diagnostics", {})
                lines.append(f"{about.get('targetId')} {event['lifecycleEventName']}: {told.get('message', 'failed')}")
                lines += [f"  {line}" for line in told.get("logTail", "").splitlines()]
    return lines


def _link(identity: str, region: str) -> str:
    return f"https://console.aws.amazon.com/codesuite/codedeploy/deployments/{identity}?region={region}"
