"""What a pipeline file says, key by key: the models that read it, and that the JSON Schema and the reference are made of.

Nothing is applied yet: defaults, matrix and order are the business of `plan`. What needs more than one key to be judged is a
rule (`definition/rules/`), so a model that was read is well formed, and only after the rules also meaningful.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from agent.definition.deployment import Deployment
from agent.definition.section import Section
from agent.definition.values import (
    Duration,
    Environment,
    EnvironmentName,
    Flag,
    KeyName,
    Name,
    Number,
    Options,
    Size,
    Text,
    Texts,
    Whole,
    many,
    problem,
    text,
)


def _include(value: object) -> object:
    return {"include": value} if isinstance(value, (str, list, tuple)) else value


def _default(value: object) -> object:
    return {"default": value} if isinstance(value, str) else value


def _file(value: object) -> object:
    if value == "true":
        return {}
    return {"file": value} if isinstance(value, str) else value


def _count(value: object) -> object:
    return {"count": value} if isinstance(value, (str, int)) else value


def _files(value: object) -> object:
    return {"files": value} if isinstance(value, (str, list, tuple)) else value


def _single(value: object) -> object:
    return (value,) if isinstance(value, Mapping) else value


def _named(value: object) -> object:
    """A list of names is a mapping that says nothing more about each."""
    if isinstance(value, str):
        return {value: ""}
    if not isinstance(value, (list, tuple)):
        return value
    named: dict[str, str] = {}
    for name in map(text, value):
        if name in named:
            raise problem("GP110", f"{name[:60]!r} is listed twice")
        named[name] = ""
    return named


def _same_name(value: object) -> object:
    """A list of secrets gives each an environment variable of its own name."""
    named = _named(value)
    return named if isinstance(value, Mapping) or not isinstance(named, dict) else {name: name for name in named}


def _axes(value: object) -> object:
    if not isinstance(value, Mapping) or "axes" in value:
        return value
    known = {key: value[key] for key in ("include", "exclude") if key in value}
    return {"axes": {key: axis for key, axis in value.items() if key not in known}, **known}


class Patterns(Section):
    """Globs to include and to exclude; an exclusion always wins, no inclusion means everything. A plain list includes."""

    include: Texts = Field(default=(), description="Globs, one of which must match; none at all means everything.")
    exclude: Texts = Field(default=(), description="Globs, none of which may match. An exclusion always wins.")


Filter = Annotated[Patterns, BeforeValidator(_include)]


class Push(Section):
    """A push that starts the pipeline; the keys are AND-ed."""

    branches: Filter | None = Field(default=None, description="Branches, without refs/heads/. Absent: any branch.")
    tags: Filter | None = Field(default=None, description="Tags, without refs/tags/. Not together with `branches` or `paths`.")
    paths: Filter | None = Field(default=None, description="Changed files; each is judged alone, and one good file is enough.")


class Schedule(Section):
    """A start by the clock."""

    cron: Text = Field(description="Cron expression of five fields: minute, hour, day, month, day of week.")
    timezone: Text = Field(default="UTC", description="IANA time zone that the expression is read in.")
    branch: Text = Field(default="main", description="The branch whose head runs.")


class Trigger(Section):
    """One way to start: exactly one of its keys."""

    push: Push | None = Field(default=None, description="Start on a push. Empty: on any branch.")
    schedule: Schedule | None = Field(default=None, description="Start by the clock.")


class Variable(Section):
    """A declared variable, or a parameter of a reusable action. A plain text is its default."""

    default: Text | None = Field(
        default=None, description="The value where a start gives none. Absent: every start must give one."
    )
    description: Text = Field(default="", description="What it is for; shown where a person is asked for it.")
    choices: Texts = Field(default=(), description="The only values it may have. Absent: any.")


Variables = dict[KeyName, Annotated[Variable, BeforeValidator(_default)]]


class Retries(Section):
    """Automatic further attempts; a plain number is the count."""

    count: Annotated[Whole, Field(ge=0, le=20)] = Field(description="Further attempts after the first.")
    delay: Duration = Field(default="5s", validate_default=True, description="Wait before the first further attempt.")
    factor: Annotated[Number, Field(ge=1, le=10)] = Field(default=2.0, description="Each wait is this many times the one before.")
    max_delay: Duration = Field(default="5m", validate_default=True, description="No wait is longer.")


class Resources(Section):
    """What an action asks for; the operator's config caps it."""

    memory: Size | None = Field(default=None, description="Memory, such as 512m or 2g.")
    cpus: Annotated[Number, Field(gt=0, le=1024)] | None = Field(default=None, description="Processors, such as 1.5.")
    pids: Annotated[Whole, Field(ge=1, le=4194304)] | None = Field(default=None, description="Processes and threads at once.")


class Service(Section):
    """A container beside the action, reachable under its name."""

    image: Text = Field(description="The image it runs.")
    env: Environment = Field(default={}, description="Its environment variables.")
    command: Texts = Field(default=(), description="What to run instead of the image's own command; a list is an argument each.")
    ready: Text = Field(default="", description="Command run inside it until it exits with 0; the action starts after that.")
    ready_timeout: Duration = Field(default="1m", validate_default=True, description="How long to wait for `ready`.")


class Cache(Section):
    """Directories kept between executions."""

    paths: Annotated[Texts, Field(min_length=1)] = Field(description="Directories to keep; `~` is the home of the script.")
    key_files: Texts = Field(default=(), description="Files whose contents make the key.")
    key: Text = Field(default="", description="Anything more that makes the key.")


class ArtifactOutput(Section):
    """Files that an action leaves for later ones; a plain list is `files`."""

    files: Annotated[Texts, Field(min_length=1)] = Field(description="Globs, relative to the workspace.")
    exclude: Texts = Field(default=(), description="Globs of files to leave out.")
    base: Text = Field(default="", description="A directory that all globs start from; it is no part of the paths.")
    flat: Flag = Field(default=False, description="Whether files are kept by their names alone, without directories.")
    optional: Flag = Field(default=False, description="Whether it may be missing without a failure.")


class BuildspecFile(Section):
    """An AWS CodeBuild buildspec of the commit, whose phases are run; a plain text is the file, `true` the usual one."""

    file: Text = Field(default="buildspec.yml", description="Its path from the root of the commit.")
    artifact: Text = Field(default="", description="What its primary artifact is called. Default: the name of the action.")


class Group(Section):
    """People or roles, `count` of whom must agree."""

    by: Annotated[Texts, Field(min_length=1)] = Field(description="People or roles.")
    count: Annotated[Whole, Field(ge=1, le=50)] = Field(default=1, description="How many of them must agree.")


class Approval(Section):
    """A decision of people, given by signed tags."""

    by: Texts = Field(default=(), description="People or roles who may decide. Absent: any operator.")
    count: Annotated[Whole, Field(ge=1, le=50)] = Field(default=1, description="How many of `by` must agree.")
    groups: tuple[Group, ...] = Field(
        default=(), description="Several groups, each of which must agree; instead of `by` and `count`."
    )
    not_author: Flag = Field(default=False, description="The author of the commit and the pusher do not count.")
    timeout: Duration = Field(default="7d", validate_default=True, description="After that it fails: 5 minutes to 60 days.")
    message: Text = Field(default="", description="What people read when they are asked.")
    url: Text = Field(default="", description="What they should look at.")


class Matrix(Section):
    """One action for each combination of values: `axes` are all keys of the mapping but `include` and `exclude`."""

    axes: dict[KeyName, Annotated[Texts, Field(min_length=1)]] = Field(default={}, description="Values by key.")
    include: tuple[dict[KeyName, Text], ...] = Field(
        default=(), description="Keys to add to combinations, or further combinations."
    )
    exclude: tuple[dict[KeyName, Text], ...] = Field(default=(), description="Combinations to leave out.")


class Reports(Section):
    """Reports that are summed up in the note."""

    junit: Texts = Field(default=(), description="Globs of JUnit XML files.")


Inputs = Annotated[dict[Text, Text], BeforeValidator(_named)]
Artifacts = dict[Text, Annotated[ArtifactOutput, BeforeValidator(_files)]]
Secrets = Annotated[dict[Name, Literal[""] | EnvironmentName], BeforeValidator(_same_name)]


class Action(Section):
    """One unit of work: exactly one of `run`, `buildspec`, `approval`, `deploy`, `uses`, or `use` for a reusable action."""

    name: Name = Field(description="Its name, unique in the stage.")
    run: Text | None = Field(default=None, description="A shell script, run as one by `sh -e`, without `${{ }}`.")
    buildspec: Annotated[BuildspecFile, BeforeValidator(_file)] | None = Field(
        default=None, description="The phases of an AWS CodeBuild buildspec, run as one script."
    )
    approval: Approval | None = Field(default=None, description="Wait for a decision of people.")
    deploy: Deployment | None = Field(default=None, description="Release an artifact, or the commit, on a group of hosts.")
    uses: Name | None = Field(default=None, description="Another provider, such as `ecs`; its options stand in `with`.")
    use: Text | None = Field(default=None, description="A reusable action of this commit: `.pipeline/actions/<name>.yaml`.")
    options: Options = Field(default={}, alias="with", description="Options of `uses`, or parameters of `use`.")
    image: Text = Field(default="", description="The container image that `run` runs in.")
    hosts: Text = Field(default="", description="A host group: `run` runs over SSH on each of its hosts.")
    runner: Text = Field(default="", description="Where `run` runs: docker, ssh (with `hosts`), local, or a plugged-in executor.")
    shell: Text = Field(default="", description="sh (default), bash, or any command that takes the script as a file.")
    workdir: Text = Field(default="", description="Directory for the script, relative to the workspace.")
    user: Text = Field(default="", description="User in the container.")
    network: Flag | None = Field(default=None, description="Whether the container gets a network. Default: no.")
    resources: Resources | None = Field(default=None, description="Memory, processors, processes.")
    services: dict[Name, Service] = Field(default={}, description="Containers beside it, by name.")
    env: Environment = Field(default={}, description="Environment variables, over those of stage and pipeline.")
    secrets: Secrets = Field(default={}, description="Secrets it may see: a list, or a mapping to environment variables.")
    needs: Texts = Field(default=(), description="Actions of the same stage that must come before.")
    when: Literal["success", "failure", "always"] = Field(
        default="success", description="On which end of what it needs it starts."
    )
    matrix: Annotated[Matrix, BeforeValidator(_axes)] | None = Field(
        default=None, description="Run it for each combination of values."
    )
    inputs: Inputs = Field(default={}, description="Artifacts to unpack first: a list, or a mapping to directories.")
    artifacts: Artifacts = Field(default={}, description="Files it leaves for later actions, by name.")
    outputs: Annotated[tuple[KeyName, ...], BeforeValidator(many)] = Field(
        default=(), description="Keys that it writes to $PIPELINE_OUTPUT."
    )
    namespace: Name | None = Field(default=None, description="Under which its outputs are looked up. Default: its name.")
    cache: Annotated[tuple[Cache, ...], BeforeValidator(_single)] = Field(
        default=(), description="Directories kept between executions."
    )
    reports: Reports = Field(default_factory=Reports, description="Test reports that are summed up in the note.")
    timeout: Duration | None = Field(default=None, description="After that it is ended. Default: 1h.")
    retries: Annotated[Retries, BeforeValidator(_count)] | None = Field(default=None, description="Automatic further attempts.")
    continue_on_error: Flag = Field(default=False, description="Whether its failure is not the failure of the stage.")


class VariableRule(Section):
    """Compares a value with a text."""

    variable: Text = Field(description="What to look at: `${{ namespace.key }}`.")
    operator: Literal["eq", "ne", "contains", "matches"] = Field(
        default="eq", description="How; `matches` is a whole regular expression."
    )
    value: Text = Field(description="What to compare it with.")


class WindowRule(Section):
    """Holds while the time matches."""

    cron: Text = Field(description="Cron expression; each minute that it names is in the window.")
    timezone: Text = Field(default="UTC", description="IANA time zone that the expression is read in.")


class CommandRule(Section):
    """Holds if a script exits with 0."""

    run: Text = Field(description="The script, without `${{ }}`.")
    image: Text = Field(default="", description="The image it runs in.")
    runner: Text = Field(default="", description="Where it runs, as for an action.")
    shell: Text = Field(default="", description="As for an action.")
    env: Environment = Field(default={}, description="Its environment variables.")
    network: Flag = Field(default=False, description="Whether its container gets a network.")


class Rule(Section):
    """One rule of a condition: exactly one of `variable`, `window`, `command`, `uses`."""

    name: Name | None = Field(default=None, description="What it is called in the record.")
    variable: VariableRule | None = Field(default=None, description="Compare a value.")
    window: WindowRule | None = Field(default=None, description="Ask for a time.")
    command: CommandRule | None = Field(default=None, description="Run a script.")
    uses: Name | None = Field(default=None, description="Another provider of rules; its options stand in `with`.")
    options: Options = Field(default={}, alias="with", description="Options of `uses`.")
    timeout: Duration = Field(default="5m", validate_default=True, description="How long it may take, or wait for its window.")


Result = Literal["fail", "skip", "retry", "rollback"]


class Condition(Rule):
    """Rules evaluated together, all of which must hold, and what happens if not. A single rule may stand in it directly."""

    result: Result | None = Field(default=None, description="What happens; `fail` by default, `rollback` in `on_failure`.")
    rules: tuple[Rule, ...] = Field(default=(), description="Up to five rules.")

    def every_rule(self) -> tuple[Rule, ...]:
        """The listed rules, or the one that stands in the condition itself."""
        return self.rules or (self,)


class Conditions(Section):
    """Gates of a stage, one condition each."""

    before_entry: Condition | None = Field(default=None, description="Asked before the stage is entered: `fail` or `skip`.")
    on_success: Condition | None = Field(default=None, description="Asked when all actions have succeeded: `fail` or `rollback`.")
    on_failure: Condition | None = Field(default=None, description="Asked when the stage has failed; if it holds, `rollback`.")


class OnFailure(Section):
    """What follows by itself when the stage fails."""

    retry: Annotated[Whole, Field(ge=0, le=10)] = Field(default=0, description="How often the stage is retried.")
    retry_mode: Literal["failed", "all"] = Field(default="failed", description="Run the failed actions again, or all.")
    rollback: Flag = Field(default=False, description="Roll back to what last succeeded in this stage.")


class Stage(Section):
    """Actions that are admitted together."""

    name: Name = Field(description="Its name, unique in the pipeline.")
    needs: Texts | None = Field(default=None, description="Stages that must have succeeded. Absent: the stage before; []: none.")
    actions: Annotated[tuple[Action, ...], Field(min_length=1)] = Field(description="Its actions, side by side.")
    lock: Text = Field(default="", description="A name: one execution at a time in all stages with this lock, across pipelines.")
    order: Literal["ancestry"] | None = Field(
        default=None, description="`ancestry` refuses a commit that is an ancestor of what last passed this stage."
    )
    supersede_approvals: Flag = Field(
        default=False, description="A newer execution takes the place of one that only waits for people."
    )
    fail_fast: Flag = Field(default=False, description="A failed action stops those beside it.")
    timeout: Duration | None = Field(default=None, description="After that the stage is stopped and fails. Default: no limit.")
    env: Environment = Field(default={}, description="Environment variables of all its actions.")
    conditions: Conditions = Field(default_factory=Conditions, description="What is asked before and after.")
    on_failure: OnFailure = Field(default_factory=OnFailure, description="What follows by itself when it fails.")


class Defaults(Section):
    """What `run` actions have where they do not say it."""

    image: Text = Field(default="", description="As `image` of an action.")
    runner: Text = Field(default="", description="As `runner` of an action.")
    shell: Text = Field(default="", description="As `shell` of an action.")
    workdir: Text = Field(default="", description="As `workdir` of an action.")
    user: Text = Field(default="", description="As `user` of an action.")
    network: Flag | None = Field(default=None, description="As `network` of an action.")
    resources: Resources | None = Field(default=None, description="As `resources` of an action.")
    timeout: Duration | None = Field(default=None, description="As `timeout` of an action; not of approvals.")
    retries: Annotated[Retries, BeforeValidator(_count)] | None = Field(default=None, description="As `retries` of an action.")


class Pipeline(Section):
    """A pipeline file. `name` is the stem of the file and not written in it."""

    name: Name = Field(default="pipeline", description="The stem of the file.")
    triggers: tuple[Trigger, ...] | None = Field(
        default=None, description="What starts it, OR-ed. Absent: any branch; []: only people."
    )
    mode: Literal["superseded", "queued", "parallel"] = Field(default="superseded", description="How its executions meet.")
    variables: Variables = Field(default={}, description="Values that a start may give, by name.")
    defaults: Defaults = Field(default_factory=Defaults, description="What `run` actions have where they do not say it.")
    env: Environment = Field(default={}, description="Environment variables of all actions.")
    timeout: Duration | None = Field(default=None, description="After that the execution is stopped. Default: no limit.")
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = Field(description="Its stages, in order.")


class ReusableAction(Section):
    """A file of `.pipeline/actions/`: parameters, and the action that uses them."""

    description: Text = Field(default="", description="What it is for.")
    parameters: Variables = Field(default={}, description="What `with` may or must give, by name.")
    action: Options = Field(description="The keys of an action, but `name`, `needs` and `use`.")
