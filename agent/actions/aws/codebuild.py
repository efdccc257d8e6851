"""`codebuild`: a build of a CodeBuild project, with its log and its exported variables (codepipeline.md 1.6, row 57)."""

from typing import Any, Self

from pydantic import Field, model_validator

from agent.actions import revision
from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Work, failed, succeeded
from agent.aws.session import AwsFault, Clients, Service
from agent.definition.values import Environment, Text, problem
from agent.model.outcome import Outcome, Reason

MARK = "PIPELINE_ATTEMPT_ID"
_RUNNING = "IN_PROGRESS"


class CodeBuildOptions(AwsOptions):
    """Which project is built, from what."""

    project: Text = Field(description="The name of the project.")
    version: Text = Field(default="", description="The commit, branch or tag of the project's own source. Default: our commit.")
    bucket: Text = Field(default="", description="A bucket by way of which our files go, in place of the project's own source.")
    path: Text = Field(default="", description="The directory of the artifacts, or of the commit, that goes there. Default: all.")
    buildspec: Text = Field(default="", description="Another buildspec: its path in the source, or its text.")
    env: Environment = Field(default={}, description="Environment variables, over those of the project.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.bucket and self.version:
            raise problem("GP105", "`version` is of the project's own source, and `bucket` takes its place")
        if self.path and not self.bucket:
            raise problem("GP105", "`path` says what goes to a `bucket`")
        return self


class CodeBuildAction(AwsAction[CodeBuildOptions]):
    """A Provider. The exported variables of the buildspec are its outputs, and so is `build`, its id."""

    Options = CodeBuildOptions

    def act(self, work: Work, options: CodeBuildOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        build = aws("codebuild")
        log = Log(work, aws("logs"))
        ended = work.follow(
            lambda may_run: (_found(work, options.project, build) if may_run else "") or _start(work, options, aws),
            lambda identity: _look(work, build, identity, log),
            lambda identity: build("stop_build", id=identity),
        )
        link = ended.get("logs", {}).get("deepLink", "")
        outputs = {each["name"]: each.get("value", "") for each in ended.get("exportedEnvironmentVariables", ())}
        about = f"build {ended['id']}"
        if ended["buildStatus"] == "SUCCEEDED":
            return succeeded(f"{about} has succeeded", link, {"build": ended["id"], **outputs})
        reason = Reason.TIMEOUT if ended["buildStatus"] == "TIMED_OUT" else Reason.EXIT
        return failed(f"{about}: {ended['buildStatus']}{_why(ended)}", link, {"build": ended["id"]}, reason)


class Log:
    """The log of a build, from its beginning on."""

    def __init__(self, work: Work, logs: Service) -> None:
        self._line = work.output("build")
        self._logs = logs
        self._token = ""

    def read(self, place: dict[str, Any]) -> None:
        """What has come since the last time."""
        group, stream = place.get("groupName"), place.get("streamName")
        while group and stream:
            further = {"nextToken": self._token} if self._token else {}
            try:
                page = self._logs("get_log_events", logGroupName=group, logStreamName=stream, startFromHead=True, **further)
            except AwsFault as fault:
                if fault.code != "ResourceNotFoundException":  # the stream is made with its first line
                    raise
                return
            for event in page["events"]:
                self._line(event["message"].rstrip("\n"))
            if page["nextForwardToken"] == self._token or not page["events"]:
                return
            self._token = page["nextForwardToken"]


def _found(work: Work, project: str, build: Service) -> str:
    """CodeBuild knows a token for five minutes; later a build of this attempt, one of the newest, is known by its variables."""
    mark = {"name": MARK, "value": work.token, "type": "PLAINTEXT"}
    newest = build("list_builds_for_project", projectName=project, sortOrder="DESCENDING")["ids"]
    builds = build("batch_get_builds", ids=newest)["builds"] if newest else ()
    return next((each["id"] for each in builds if mark in each["environment"]["environmentVariables"]), "")


def _start(work: Work, options: CodeBuildOptions, aws: Clients) -> str:
    execution = work.attempt.execution
    ours = {"PIPELINE_NAME": execution.pipeline, "PIPELINE_EXECUTION": execution.id, "PIPELINE_COMMIT": execution.commit}
    values = {**ours, **options.env, MARK: work.token}
    source: dict[str, Any] = {"sourceVersion": options.version or execution.commit}
    if options.bucket:
        key = revision.uploaded(work, options.path, aws("s3"), options.bucket)
        source = {"sourceTypeOverride": "S3", "sourceLocationOverride": f"{options.bucket}/{key}"}
    if options.buildspec:
        source["buildspecOverride"] = options.buildspec
    answer = aws("codebuild")(
        "start_build",
        projectName=options.project,
        idempotencyToken=work.token[-64:],
        environmentVariablesOverride=[{"name": key, "value": value, "type": "PLAINTEXT"} for key, value in values.items()],
        **source,
    )
    identity: str = answer["build"]["id"]
    return identity


def _look(work: Work, build: Service, identity: str, log: Log) -> dict[str, Any] | None:
    found = build("batch_get_builds", ids=[identity])["builds"]
    if not found:
        raise AwsFault(f"build {identity} does not exist any more")
    now: dict[str, Any] = found[0]
    work.memory.put("link", now.get("logs", {}).get("deepLink", ""))
    if now["buildStatus"] == _RUNNING:
        work.say(f"{identity}: {now.get('currentPhase', _RUNNING)}")
    log.read(now.get("logs", {}))
    return None if now["buildStatus"] == _RUNNING else now


def _why(ended: dict[str, Any]) -> str:
    broken = [phase for phase in ended.get("phases", ()) if phase.get("phaseStatus") not in {None, "SUCCEEDED"}]
    said = [f"{phase['phaseType']}: {context.get('message', '')}" for phase in broken for context in phase.get("contexts", ())]
    return f" ({'; '.join(said)})" if said else ""
