"""`lambda`: new code for a function, published as a version, and an alias that goes over to it, at once or by way of a canary."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from agent.actions import revision
from agent.actions.aws.alarms import bake
from agent.actions.aws.place import AwsAction, AwsOptions
from agent.actions.remote import Interrupted, Work, failed, succeeded
from agent.aws.session import AwsFault, Clients, Service
from agent.definition.values import Duration, Number, Text, Texts, problem
from agent.model.outcome import Outcome

LARGEST = 50 * 1024**2  # bytes of an archive in a request; larger ones go by way of S3
NONE = "none"  # the version of an alias that did not exist


class LambdaOptions(AwsOptions):
    """Which function gets what code, and how its alias goes over to it."""

    function: Text = Field(description="The name of the function.")
    path: Text = Field(default="", description="The directory with the code, in the artifacts or the commit. Default: all of it.")
    image: Text = Field(default="", description="The container image with the code, in place of files.")
    bucket: Text = Field(default="", description="A bucket by way of which the archive goes; more than 50 MB need one.")
    alias: Text = Field(default="", description="The alias that goes over to the new version. Default: none does.")
    canary: Annotated[Number, Field(gt=0, lt=100)] | None = Field(
        default=None, description="Percent of the calls that the new version gets first, while `bake` lasts."
    )
    bake: Duration | None = Field(default=None, description="How long the alarms are watched before it is done.")
    alarms: Texts = Field(default=(), description="Alarms of CloudWatch; one that goes off leads the alias back.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.path and self.image:
            raise problem("GP105", "the code is either `path` or `image`")
        if (self.canary or self.bake or self.alarms) and not self.alias:
            raise problem("GP105", "`canary`, `bake` and `alarms` belong to an alias", "write `alias: live`")
        if self.canary and not self.bake:
            raise problem("GP105", "a canary needs a time to watch it", "write `bake: 5m`")
        return self


class LambdaAction(AwsAction[LambdaOptions]):
    """A Provider."""

    Options = LambdaOptions
    outputs = ("version", "arn", "previous")

    def act(self, work: Work, options: LambdaOptions, aws: Clients) -> Outcome:
        """See AwsAction."""
        function = aws("lambda", FunctionName=options.function)
        link = f"https://console.aws.amazon.com/lambda/home?region={aws.region}#/functions/{options.function}"
        former = work.once("former", lambda: _version_of(function, options.alias))
        digest = work.once("code", lambda: _update(work, options, function, aws("s3")))
        if wrong := _settled(work, function):
            return failed(f"{options.function}: {wrong}", link)
        version = work.once("version", lambda: _publish(work, function, digest))
        work.say(f"{options.function} has version {version}")
        if wrong := _settled(work, function, version):
            return failed(f"{options.function}:{version}: {wrong}", link)
        arn = work.patiently(lambda: function("get_function_configuration", Qualifier=version))["FunctionArn"]
        if options.alias and (wrong := self._shift(work, options, aws, former, version)):
            return failed(f"{wrong}; alias {options.alias} is at {former} again", link, {"version": version})
        said = f"{options.function}:{version}" + (f", alias {options.alias}" if options.alias else "")
        return succeeded(said, link, {"version": version, "arn": arn, "previous": former.replace(NONE, "")})

    def _shift(self, work: Work, options: LambdaOptions, aws: Clients, former: str, version: str) -> str:
        """Lead the alias over; what went wrong, and then it is where it was."""
        alias = aws("lambda", FunctionName=options.function, Name=options.alias)
        if former == NONE:
            _create(work, alias, version)
            return ""
        try:
            if options.canary:
                _point(work, alias, former, {version: options.canary / 100})
                work.say(f"{options.canary:g} % of {options.alias} goes to version {version}")
            else:
                _point(work, alias, version)
            wrong = bake(work, aws, options.alarms, options.bake) if options.alarms or options.bake else ""
        except (Interrupted, AwsFault):
            _point(work, alias, former)
            work.say(f"alias {options.alias} is at {former} again")
            raise
        _point(work, alias, former if wrong else version)
        return wrong


def _version_of(function: Service, alias: str) -> str:
    """The version that the alias is at now."""
    if not alias:
        return NONE
    try:
        version: str = function("get_alias", Name=alias)["FunctionVersion"]
    except AwsFault as fault:
        if fault.code != "ResourceNotFoundException":
            raise
        return NONE
    return version


def _update(work: Work, options: LambdaOptions, function: Service, s3: Service) -> str:
    """New code for the function; its digest. The same code again changes nothing."""
    code: dict[str, Any] = {"ImageUri": options.image} if options.image else _archive(work, options, s3)
    digest: str = function("update_function_code", Publish=False, **code)["CodeSha256"]
    return digest


def _archive(work: Work, options: LambdaOptions, s3: Service) -> dict[str, Any]:
    if options.bucket:
        return {"S3Bucket": options.bucket, "S3Key": revision.uploaded(work, options.path, s3, options.bucket)}
    archive = revision.zipped(revision.directory_of(work, options.path), work.context.control(work.attempt))
    if archive.stat().st_size > LARGEST:
        raise AwsFault("the code has more than 50 MB", hint="name a `bucket` by way of which it can go")
    return {"ZipFile": archive.read_bytes()}


def _settled(work: Work, function: Service, version: str = "$LATEST") -> str:
    """Wait until a version can be used; what is wrong with it, or empty."""

    def look() -> str | None:
        found = function("get_function_configuration", Qualifier=version)
        state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
        if "Failed" in {state, update}:
            return str(found.get("LastUpdateStatusReason") or found.get("StateReason") or "it failed")
        return "" if state in {"Active", "Inactive"} and update == "Successful" else None

    return work.wait(look)


def _publish(work: Work, function: Service, digest: str) -> str:
    """Fails if somebody else has changed the code since; code that is published already gives its version again."""
    about = f"{work.attempt.execution.label} {work.attempt.execution.commit[:12]}"
    version: str = function("publish_version", CodeSha256=digest, Description=about)["Version"]
    return version


def _create(work: Work, alias: Service, version: str) -> None:
    try:
        work.patiently(lambda: alias("create_alias", FunctionVersion=version))
    except AwsFault as fault:
        if fault.code != "ResourceConflictException":  # made by an earlier call for this attempt
            raise
        _point(work, alias, version)


def _point(work: Work, alias: Service, version: str, weights: dict[str, float] | None = None) -> None:
    routing = {"AdditionalVersionWeights": weights or {}}
    work.patiently(lambda: alias("update_alias", FunctionVersion=version, RoutingConfig=routing))
