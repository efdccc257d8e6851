"""What people may ask: of an execution, of a stage, of a pipeline. The same values for commands on the server and signed tags."""

from agent.model.ids import ActionName, Oid, PipelineName, RefName, StageName
from agent.model.plan import RetryMode
from agent.model.value import Value


class Answer(Value, frozen=True, kw_only=True, tag="answer"):
    """Approve or reject. `action` is needed only where a stage asks for several."""

    pipeline: PipelineName
    number: int
    stage: StageName
    approved: bool
    action: ActionName | str = ""


class Stop(Value, frozen=True, kw_only=True, tag="stop"):
    """Stop an execution; with `abandon` what runs is killed, else it finishes."""

    pipeline: PipelineName
    number: int
    abandon: bool = False


class Retry(Value, frozen=True, kw_only=True, tag="retry"):
    """Run a failed stage again."""

    pipeline: PipelineName
    number: int
    stage: StageName
    mode: RetryMode = RetryMode.FAILED_ACTIONS


class RollBack(Value, frozen=True, kw_only=True, tag="rollback"):
    """Run a stage again as execution `number` ran it."""

    pipeline: PipelineName
    number: int
    stage: StageName


class Override(Value, frozen=True, kw_only=True, tag="override"):
    """Let a stage pass a failed condition."""

    pipeline: PipelineName
    number: int
    stage: StageName


class Disable(Value, frozen=True, kw_only=True, tag="disable"):
    """Close the transition into a stage."""

    pipeline: PipelineName
    stage: StageName


class Enable(Value, frozen=True, kw_only=True, tag="enable"):
    """Open it again."""

    pipeline: PipelineName
    stage: StageName


class Start(Value, frozen=True, kw_only=True, tag="start"):
    """Start a pipeline by hand, as if `ref` had been pushed at `commit`."""

    pipeline: PipelineName
    commit: Oid
    ref: RefName
    variables: dict[str, str] = {}


Demand = Answer | Stop | Retry | RollBack | Override | Disable | Enable | Start


class Wish(Value, frozen=True, kw_only=True):
    """A demand, and who makes it: a person, why, and for a signed tag its object id and the key's fingerprint."""

    demand: Demand
    by: str
    reason: str = ""
    tag: str = ""
    fingerprint: str = ""
    is_author: bool = False  # the person wrote or pushed some of what is to be approved
