"""The plan: everything an execution must know of its pipeline, fixed when it starts.

Matrix, reusable actions and defaults are already applied; only `${{ }}` is still to be looked up, just before an action starts.
A plan is journalled as JSON, so a worker that resumes does not read the definition again.
"""

from datetime import timedelta
from enum import StrEnum

from agent.model.ids import ActionName, ArtifactName, PipelineName, StageName
from agent.model.value import Value


class Mode(StrEnum):
    """How executions of one pipeline meet (codepipeline.md 2.1)."""

    SUPERSEDED = "superseded"
    QUEUED = "queued"
    PARALLEL = "parallel"


class When(StrEnum):
    """On which state of what it needs an action starts."""

    SUCCESS = "success"
    FAILURE = "failure"
    ALWAYS = "always"


class Retries(Value, frozen=True, kw_only=True):
    """Automatic further attempts of a failed action: at most `count`, the n-th after min(delay * factor**(n-1), max_delay)."""

    count: int = 0
    delay: timedelta = timedelta(seconds=5)
    factor: float = 2.0
    max_delay: timedelta = timedelta(minutes=5)


class Resources(Value, frozen=True, kw_only=True):
    """What an action asks for; the operator's config caps it. None = the operator's default."""

    memory: int | None = None  # bytes
    cpus: float | None = None
    pids: int | None = None


class Service(Value, frozen=True, kw_only=True):
    """A container beside the action, reachable under its name. `ready` is a command run in it until it exits 0."""

    name: str
    image: str
    env: dict[str, str] = {}
    command: tuple[str, ...] = ()
    ready: str = ""
    ready_timeout: timedelta = timedelta(minutes=1)


class Cache(Value, frozen=True, kw_only=True):
    """Directories kept between executions under a key made of the contents of `key_files` (and `key`)."""

    paths: tuple[str, ...]
    key_files: tuple[str, ...] = ()
    key: str = ""


class ArtifactOutput(Value, frozen=True, kw_only=True):
    """Files that an action leaves for later ones: globs relative to `base` in the workspace, which is no part of the paths."""

    name: ArtifactName
    files: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    base: str = ""
    flat: bool = False  # by the names of the files alone
    optional: bool = False


class ArtifactInput(Value, frozen=True, kw_only=True):
    """An artifact to unpack before the action starts; `path` is relative to the workspace, default its root."""

    name: ArtifactName
    path: str = ""


class Run(Value, frozen=True, kw_only=True, tag="run"):
    """A script: in a container (`image`), on hosts over SSH (`hosts`), or a process of the agent's machine (`runner` local)."""

    script: str
    runner: str = "docker"  # docker | local | ssh, or the name of a plugged-in executor
    image: str = ""
    hosts: str = ""
    shell: str = "sh"
    workdir: str = ""
    network: bool = False
    user: str = ""
    services: tuple[Service, ...] = ()
    resources: Resources = Resources()


class Group(Value, frozen=True, kw_only=True):
    """People or roles, `count` of whom must agree."""

    any_of: tuple[str, ...]
    count: int = 1


class Approval(Value, frozen=True, kw_only=True, tag="approval"):
    """A decision of people, given by signed tags (codepipeline.md 1.7). An empty `groups` means any operator."""

    groups: tuple[Group, ...] = ()
    not_author: bool = False
    message: str = ""
    url: str = ""


class Deploy(Value, frozen=True, kw_only=True, tag="deploy"):
    """A release on a group of hosts; `options` is the checked `deploy:` mapping without `to` and `strategy`."""

    to: str
    strategy: str = "rolling"
    options: dict[str, object] = {}


class Use(Value, frozen=True, kw_only=True, tag="uses"):
    """Any other provider: its name and its checked `with:` mapping."""

    provider: str
    options: dict[str, object] = {}


Work = Run | Approval | Deploy | Use


class PlannedAction(Value, frozen=True, kw_only=True):
    """One unit of work. `needs` are actions of the same stage; an action starts when they have ended as `when` asks."""

    name: ActionName
    work: Work
    needs: tuple[ActionName, ...] = ()
    namespace: str = ""  # under which its outputs are looked up: ${{ namespace.key }}
    env: dict[str, str] = {}  # pipeline, stage and action level, merged
    inputs: tuple[ArtifactInput, ...] = ()
    artifacts: tuple[ArtifactOutput, ...] = ()
    outputs: tuple[str, ...] = ()
    secrets: dict[str, str] = {}  # name of the secret -> environment variable, or "" for the file alone
    matrix: dict[str, str] = {}
    cache: tuple[Cache, ...] = ()
    reports: tuple[str, ...] = ()  # globs of JUnit files
    timeout: timedelta = timedelta(hours=1)
    retries: Retries = Retries()
    when: When = When.SUCCESS
    continue_on_error: bool = False

    @property
    def waits(self) -> bool:
        """Whether it only waits for executions that need places: were it to hold one, all could wait for each other."""
        return isinstance(self.work, Use) and self.work.provider == "pipeline"


class ConditionResult(StrEnum):
    """What a condition does when it engages (codepipeline.md 2.4)."""

    FAIL = "fail"
    SKIP = "skip"
    RETRY = "retry"
    ROLLBACK = "rollback"


class Rule(Value, frozen=True, kw_only=True):
    """One rule of a condition: a provider (`variable`, `window`, `command`, …) and its checked options."""

    provider: str
    options: dict[str, object] = {}
    timeout: timedelta = timedelta(minutes=5)
    name: str = ""


class Condition(Value, frozen=True, kw_only=True):
    """Rules evaluated together, and what happens when the condition engages."""

    rules: tuple[Rule, ...]
    result: ConditionResult = ConditionResult.FAIL


class RetryMode(StrEnum):
    """What a retry of a stage runs again."""

    FAILED_ACTIONS = "failed"
    ALL_ACTIONS = "all"


class OnFailure(Value, frozen=True, kw_only=True):
    """What follows by itself when a stage fails: an automatic retry (`retry` times), then a rollback."""

    retry: int = 0
    retry_mode: RetryMode = RetryMode.FAILED_ACTIONS
    rollback: bool = False
    condition: Condition | None = None  # with rules: engages only when all of them succeed


class PlannedStage(Value, frozen=True, kw_only=True):
    """Actions that are admitted together. `needs` are the stages that must have succeeded before."""

    name: StageName
    actions: tuple[PlannedAction, ...]
    needs: tuple[StageName, ...] = ()
    lock: str = ""  # exclusive across the pipelines of the repository; empty: the stage itself is the lock
    ancestry: bool = False  # refuse a commit that is an ancestor of what last passed this stage
    supersede_approvals: bool = False  # a newer execution takes the place of one that only waits for people
    fail_fast: bool = False  # a failed action stops those beside it
    timeout: timedelta | None = None
    before_entry: Condition | None = None
    on_success: Condition | None = None
    on_failure: OnFailure = OnFailure()


class Plan(Value, frozen=True, kw_only=True):
    """A pipeline as one execution runs it. Stages stand in an order in which each comes after all it needs."""

    pipeline: PipelineName
    stages: tuple[PlannedStage, ...]
    mode: Mode = Mode.SUPERSEDED
    variables: dict[str, str] = {}
    timeout: timedelta | None = None
    definition: str = ""  # git tree id of .pipeline/ it was made from
    schema: int = 1
    rollback: bool = False  # of an execution that is a rollback: it is never rolled back itself
