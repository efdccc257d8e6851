"""The states that moto's own back-ends lack, added to them: builds that take time and fail, deployments that move.

Each is made with pytest's monkeypatch and gone with the test. What an object has `looks` of is still going on.
"""

from datetime import UTC, datetime
from typing import Any

from moto.cloudformation import models as cloudformation
from moto.cloudformation.exceptions import AlreadyExistsException
from moto.cloudformation.responses import CloudFormationResponse
from moto.codebuild import models as codebuild
from moto.codebuild.responses import CodeBuildResponse
from moto.codedeploy import models as codedeploy
from moto.codedeploy.responses import CodeDeployResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.ecs import models as ecs


class Builds:
    """CodeBuild: a build runs for some looks, writes a log, and ends as it is told to. The five minutes of a token are over."""

    def __init__(
        self, patch: Any, *, ends: str = "SUCCEEDED", looks: int = 2, log: tuple[str, ...] = (), logs: Any = None
    ) -> None:
        self.ends = ends
        self.looks = looks
        self.exported: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []
        start = CodeBuildResponse.start_build
        builds = self

        def start_build(self: CodeBuildResponse) -> Any:
            builds.asked.append({name: self._get_param(name) for name in PARAMETERS})
            answer = start(self)
            build = self.codebuild_backend.build_metadata_history[self._get_param("projectName")][-1]
            build["environment"] = {**build["environment"], "environmentVariables": builds.asked[-1][VARIABLES]}
            return answer

        def batch_get_builds(self: codebuild.CodeBuildBackend, ids: list[str]) -> list[dict[str, Any]]:
            found = [build for each in self.build_metadata_history.values() for build in each if build["id"] in ids]
            for build in found:
                builds._move(build)
            return found

        patch.setattr(CodeBuildResponse, "start_build", start_build)
        patch.setattr(codebuild.CodeBuildBackend, "batch_get_builds", batch_get_builds)
        self._log = log
        if logs:
            logs.create_log_group(logGroupName="/aws/codebuild/app")
            logs.create_log_stream(logGroupName="/aws/codebuild/app", logStreamName="one")
            now = int(datetime.now(UTC).timestamp() * 1000)
            events = [{"timestamp": now + number, "message": f"{line}\n"} for number, line in enumerate(log)]
            logs.put_log_events(logGroupName="/aws/codebuild/app", logStreamName="one", logEvents=events)

    def _move(self, build: dict[str, Any]) -> None:
        if self._log:
            build["logs"] |= {"groupName": "/aws/codebuild/app", "streamName": "one"}
        if build["buildStatus"] != "IN_PROGRESS":
            return
        build["currentPhase"] = "BUILD"
        self.looks -= 1
        if self.looks > 0:
            return
        build["buildStatus"], build["currentPhase"] = self.ends, "COMPLETED"
        build["exportedEnvironmentVariables"] = [{"name": name, "value": value} for name, value in self.exported.items()]
        if self.ends == "FAILED":
            why = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": "make: exit status 2"}]
            build["phases"].append({"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": why})


VARIABLES = "environmentVariablesOverride"
PARAMETERS = ("sourceVersion", "sourceTypeOverride", "sourceLocationOverride", "buildspecOverride", VARIABLES)


class Deployments:
    """CodeDeploy: a deployment moves on with each look, and can be stopped."""

    def __init__(self, patch: Any, *, ends: str = "Succeeded", looks: int = 2) -> None:
        self.ends = ends
        self.looks = looks
        get = codedeploy.CodeDeployBackend.get_deployment
        states = self

        def get_deployment(self: codedeploy.CodeDeployBackend, deployment_id: str) -> codedeploy.DeploymentInfo:
            found = get(self, deployment_id)
            states._move(found)
            return found

        def stop_deployment(self: CodeDeployResponse) -> ActionResult:
            found = get(self.codedeploy_backend, self._get_param("deploymentId"))
            found.status = "Stopped"
            found.additional_deployment_status_info = str(self._get_param("autoRollbackEnabled"))
            return ActionResult({"status": "Succeeded"})

        def list_targets(self: CodeDeployResponse) -> ActionResult:
            return ActionResult({"targetIds": ["i-1"]})

        def get_targets(self: CodeDeployResponse) -> ActionResult:
            told = {"errorCode": "ScriptFailed", "message": "exit 4", "logTail": "one\ntwo"}
            event = {"lifecycleEventName": "ValidateService", "status": "Failed", "diagnostics": told}
            target = {"targetId": "i-1", "status": "Failed", "lifecycleEvents": [event]}
            return ActionResult({"deploymentTargets": [{"deploymentTargetType": "InstanceTarget", "instanceTarget": target}]})

        patch.setattr(codedeploy.CodeDeployBackend, "get_deployment", get_deployment)
        patch.setattr(CodeDeployResponse, "stop_deployment", stop_deployment, raising=False)
        patch.setattr(CodeDeployResponse, "list_deployment_targets", list_targets, raising=False)
        patch.setattr(CodeDeployResponse, "batch_get_deployment_targets", get_targets, raising=False)

    def _move(self, found: codedeploy.DeploymentInfo) -> None:
        if found.status not in {"Created", "InProgress"}:
            return
        self.looks -= 1
        found.status = "InProgress" if self.looks > 0 else self.ends
        found.deployment_overview[found.status] = 1


class Rollouts:
    """ECS: a service that gets a new revision rolls over to it with the looks; an image with `bad` in its name never runs."""

    def __init__(self, patch: Any) -> None:
        self.each = 2  # looks of a rollout
        self.looks = 0
        update, describe = ecs.EC2ContainerServiceBackend.update_service, ecs.EC2ContainerServiceBackend.describe_services
        states = self

        def update_service(self: Any, service_properties: dict[str, Any]) -> ecs.Service:
            states.looks = states.each
            revision = service_properties.get("task_definition")
            service = update(self, service_properties)
            if revision and revision != service.deployments[0]["taskDefinition"]:
                fresh = {
                    **service.deployments[0],
                    "id": f"ecs-svc/{revision}",
                    "taskDefinition": revision,
                    "createdAt": datetime.now(UTC),
                }
                fresh |= {"rolloutState": "IN_PROGRESS", "runningCount": 0, "pendingCount": service.desired_count}
                service.deployments = [fresh, {**service.deployments[0], "status": "ACTIVE"}]
                service.events.append(
                    {"id": revision, "createdAt": datetime.now(UTC), "message": f"(service {service.name}) rolls"}
                )
            return service

        def describe_services(self: Any, cluster_str: str, service_names_or_arns: list[str]) -> Any:
            found, failures = describe(self, cluster_str, service_names_or_arns)
            for service in found:
                states._move(self, service)
            return found, failures

        patch.setenv("MOTO_ECS_SERVICE_RUNNING", "2")
        patch.setattr(ecs.EC2ContainerServiceBackend, "update_service", update_service)
        patch.setattr(ecs.EC2ContainerServiceBackend, "describe_services", describe_services)

    def _move(self, backend: Any, service: ecs.Service) -> None:
        newest = service.deployments[0]
        if newest["rolloutState"] != "IN_PROGRESS":
            return
        self.looks -= 1
        if self.looks > 0:
            return
        definition = backend.describe_task_definition(newest["taskDefinition"])
        if any("bad" in container["image"] for container in definition.container_definitions):
            newest |= {"rolloutState": "FAILED", "rolloutStateReason": "ECS deployment circuit breaker: tasks failed to start."}
        else:
            newest |= {"rolloutState": "COMPLETED", "runningCount": service.desired_count, "pendingCount": 0}
            service.deployments = [newest]


class Stacks:
    """CloudFormation: a stack shows its outputs, is at work for some looks, and may fail or be cancelled.

    A change set is made once and executed once.
    """

    def __init__(self, patch: Any, *, fails: str = "", looks: int = 1) -> None:
        self.looks = looks  # of each execution
        self._left: dict[str, int] = {}
        execute, describe = cloudformation.CloudFormationBackend.execute_change_set, CloudFormationResponse.describe_stacks
        create = CloudFormationResponse.create_change_set
        states = self

        def create_change_set(self: CloudFormationResponse) -> ActionResult:
            name = self._get_param("ChangeSetName")
            if any(change.change_set_name == name for change in self.cloudformation_backend.change_sets.values()):
                raise AlreadyExistsException(f"ChangeSet {name} already exists")
            return create(self)

        def execute_change_set(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
            (change,) = (one for key, one in self.change_sets.items() if change_set_name in {key, one.change_set_name})
            if change.execution_status != "AVAILABLE":
                raise cloudformation.ValidationError(change_set_name, f"it is {change.execution_status}")
            execute(self, change_set_name, stack_name)
            stack = self.stacks[change.stack_id]
            stack._parse_template()
            stack.output_map = stack._create_output_map()
            done = stack.events.pop()
            stack.status = done.resource_status.replace("COMPLETE", "IN_PROGRESS")
            states._left[stack.stack_id] = states.looks

        def describe_stacks(self: CloudFormationResponse) -> ActionResult:
            for stack in self.cloudformation_backend.stacks.values():
                states._move(stack, fails)
            return describe(self)

        def cancel_update_stack(self: CloudFormationResponse) -> ActionResult:
            stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
            stack.status = "UPDATE_ROLLBACK_COMPLETE"
            stack._add_stack_event(stack.status)
            return EmptyResult()

        patch.setattr(cloudformation.CloudFormationBackend, "execute_change_set", execute_change_set)
        patch.setattr(CloudFormationResponse, "create_change_set", create_change_set)
        patch.setattr(CloudFormationResponse, "describe_stacks", describe_stacks)
        patch.setattr(CloudFormationResponse, "cancel_update_stack", cancel_update_stack, raising=False)

    def _move(self, stack: Any, fails: str) -> None:
        if not stack.status.endswith("E_IN_PROGRESS"):
            return
        self._left[stack.stack_id] -= 1
        if self._left[stack.stack_id] > 0:
            return
        stack.status = "UPDATE_ROLLBACK_COMPLETE" if fails else stack.status.replace("IN_PROGRESS", "COMPLETE")
        if fails:
            stack._add_stack_event("UPDATE_FAILED", resource_status_reason=fails)
        stack._add_stack_event(stack.status)
