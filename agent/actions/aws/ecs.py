"""`ecs`: a new revision of a service's task definition with other images, until the service runs it steadily, or goes back."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Interrupted, Work, failed, succeeded
from agent.aws.session import AwsFault, Clients, Service
from agent.definition.values import Flag, Text, Whole, problem
from agent.model.outcome import Outcome

_GIVEN = frozenset(  # what describing a task definition says and registering one does not take
    {
        "taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy",
        "deregisteredAt",
    }
)  # fmt: skip


class EcsOptions(AwsOptions):
    """Which service runs which images."""

    cluster: Text = Field(description="The name of the cluster.")
    service: Text = Field(description="The name of the service.")
    image: Text = Field(default="", description="The image of the only container, or of the only essential one.")
    images: dict[Text, Text] = Field(default={}, description="Images by the names of the containers.")
    count: Annotated[Whole, Field(ge=0)] | None = Field(default=None, description="How many tasks. Default: as many as now.")
    rollback: Flag = Field(default=True, description="Go back to the former revision where the new one fails.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.image) == bool(self.images):
            raise problem("GP105", "the service needs either `image` or `images`", 'write images: {web: "…", worker: "…"}')
        return self


class EcsAction(AwsAction[EcsOptions]):
    """A Provider. The service's circuit breaker is turned on: it says when a deployment is lost."""

    Options = EcsOptions
    outputs = ("task_definition", "previous", "running")

    def act(self, work: Work, options: EcsOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        ecs = aws("ecs")
        where = f"clusters/{options.cluster}/services/{options.service}"
        link = f"https://console.aws.amazon.com/ecs/v2/{where}/deployments?region={aws.region}"
        former = work.once("former", lambda: _service(ecs, options)["taskDefinition"])
        revision = work.once("revision", lambda: _register(ecs, options, former))
        work.check()
        work.once("since", lambda: datetime.now(UTC).isoformat())
        work.once("updated", lambda: _update(ecs, options, revision))
        outputs = {"task_definition": revision, "previous": former}
        work.say(f"{options.service} goes over to {_short(revision)}")
        try:
            wrong = work.wait(lambda: _look(work, ecs, options, revision))
        except (Interrupted, AwsFault):
            if options.rollback:
                _back(work, ecs, options, former)
            raise
        if wrong:
            back = f"; {_back(work, ecs, options, former)}" if options.rollback else ""
            return failed(f"{_short(revision)}: {wrong}{back}", link, outputs)
        running = str(work.patiently(lambda: _service(ecs, options))["runningCount"])
        said = f"{options.service} runs {_short(revision)} ({running} tasks)"
        return succeeded(said, link, {**outputs, "running": running})


def _service(ecs: Service, options: EcsOptions) -> dict[str, Any]:
    found = ecs("describe_services", cluster=options.cluster, services=[options.service])["services"]
    active = [each for each in found if each["status"] == "ACTIVE"]
    if not active:
        raise AwsFault(f"there is no service {options.service} in cluster {options.cluster}")
    service: dict[str, Any] = active[0]
    return service


def _register(ecs: Service, options: EcsOptions, former: str) -> str:
    """A revision like the former one, but for the images. One too many, after a crash, harms nobody."""
    answer = ecs("describe_task_definition", taskDefinition=former, include=["TAGS"])
    definition = {key: value for key, value in answer["taskDefinition"].items() if key not in _GIVEN}
    containers = {each["name"]: each for each in definition["containerDefinitions"]}
    for name, image in (options.images or {_only(containers): options.image}).items():
        if name not in containers:
            raise AwsFault(f"{_short(former)} has no container {name}", hint=f"it has {', '.join(containers)}")
        containers[name]["image"] = image
    tags = {"tags": answer["tags"]} if answer.get("tags") else {}
    revision: str = ecs("register_task_definition", **definition, **tags)["taskDefinition"]["taskDefinitionArn"]
    return revision


def _only(containers: dict[str, Any]) -> str:
    essential = [name for name, each in containers.items() if each.get("essential", True)]
    if len(containers) != 1 and len(essential) != 1:
        raise AwsFault(f"there are several containers: {', '.join(containers)}", hint="write `images: {name: image}`")
    return essential[0] if essential else next(iter(containers))


def _update(ecs: Service, options: EcsOptions, revision: str) -> str:
    now = _service(ecs, options).get("deploymentConfiguration", {})
    breaker = {**now, "deploymentCircuitBreaker": {"enable": True, "rollback": False}}  # we go back ourselves, and say so
    count = {} if options.count is None else {"desiredCount": options.count}
    ecs(
        "update_service", cluster=options.cluster, service=options.service, taskDefinition=revision,
        deploymentConfiguration=breaker, **count,
    )  # fmt: skip
    return revision


def _look(work: Work, ecs: Service, options: EcsOptions, revision: str) -> str | None:
    """What is wrong, empty if the service runs the revision steadily, None if that is not decided."""
    service = _service(ecs, options)
    since = datetime.fromisoformat(work.memory.get("since"))
    line = work.output("events")
    for event in sorted(service.get("events", ()), key=lambda event: event["createdAt"]):
        if event["createdAt"] >= since:
            line(event["message"])
    deployment = next((each for each in service["deployments"] if each["taskDefinition"] == revision), None)
    if deployment is None:
        return f"another deployment has taken its place: {_short(service['taskDefinition'])}"
    if deployment.get("rolloutState") == "FAILED":
        return str(deployment.get("rolloutStateReason") or "the deployment failed")
    running, desired = deployment["runningCount"], deployment["desiredCount"]
    work.say(f"{running} of {desired} tasks run")
    steady = len(service["deployments"]) == 1 and running == desired and not deployment["pendingCount"]
    return "" if steady and deployment.get("rolloutState", "COMPLETED") == "COMPLETED" else None


def _back(work: Work, ecs: Service, options: EcsOptions, former: str) -> str:
    """Lead the service back; what was done, in words."""
    work.patiently(lambda: ecs("update_service", cluster=options.cluster, service=options.service, taskDefinition=former))
    said = f"{options.service} goes back to {_short(former)}"
    work.say(said)
    return said


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]
